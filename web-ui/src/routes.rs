//! Every path and who answers it. What is closed to whom is [`crate::auth`]'s.

use axum::Router;
use axum::routing::{MethodRouter, get, post};

use crate::pages::{self, setup, system};
use crate::{Shared, api};

/// Every page.
pub(crate) fn pages() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![
        ("/", get(pages::status::page)),
        ("/events", get(pages::status::events)),
        ("/connections", get(pages::connections::page)),
        ("/files", get(pages::files::page)),
        ("/files/download", get(pages::files::download)),
        ("/interfaces", get(pages::interfaces::page)),
        ("/packets", get(pages::packets::page)),
        ("/packets/download", get(pages::packets::download)),
        ("/healthz", get(pages::health::page)),
        ("/static/style.css", get(pages::assets::style)),
        ("/static/live.js", get(pages::assets::script)),
        ("/static/icon.svg", get(pages::assets::icon)),
        ("/login", get(pages::login::page).post(pages::login::submit)),
        ("/logout", post(pages::login::logout)),
        ("/job", get(pages::job::page)),
        ("/settings", get(pages::settings::page)),
        ("/settings/{section}", get(pages::settings::form).post(pages::settings::submit)),
        ("/settings/export", get(pages::export::page).post(pages::export::submit)),
        ("/system", get(system::page)),
        ("/system/services", get(system::services::page)),
        ("/system/services/{unit}", get(system::services::journal)),
        ("/system/services/{unit}/restart", post(system::services::restart)),
        ("/system/updates", get(system::updates::page)),
        ("/system/updates/upload", system::updates::upload()),
        ("/system/updates/fetch", post(system::updates::fetch)),
        ("/system/support", get(system::support::page).post(system::support::submit)),
        ("/system/access", get(system::access::page).post(system::access::make)),
        ("/system/access/revoke", post(system::access::revoke)),
        ("/system/password", get(system::password::page).post(system::password::submit)),
        ("/system/power", get(system::power::page).post(system::power::submit)),
        ("/system/audit", get(pages::audit::page)),
        ("/setup/code", get(setup::code::page).post(setup::code::submit)),
        ("/setup/password", get(setup::password::page).post(setup::password::submit)),
        ("/setup/network", get(setup::network::page).post(setup::network::submit)),
        ("/setup/time", get(setup::time::page).post(setup::time::submit)),
        ("/setup/interfaces", get(setup::interfaces::page).post(setup::interfaces::submit)),
        ("/setup/packets", get(setup::packets::page).post(setup::packets::submit)),
        ("/setup/files", get(setup::files::page).post(setup::files::submit)),
        ("/setup/collector", get(setup::collector::page).post(setup::collector::submit)),
        ("/setup/probe", get(setup::probe::page).post(setup::probe::submit)),
        ("/setup/summary", get(setup::summary::page).post(setup::summary::submit)),
        ("/setup/apply", get(setup::summary::applying)),
        ("/setup/finished", get(setup::summary::finished)),
        ("/setup/import", get(setup::import::page).post(setup::import::submit)),
        ("/setup/install", get(setup::install::page).post(setup::install::submit)),
        ("/setup/installing", get(setup::install::installing)),
        ("/setup/reboot", post(setup::install::reboot)),
    ]
}

/// The router of everything.
pub(crate) fn all() -> Router<Shared> {
    let api = api::ROUTES.iter().map(|route| (route.path, (route.handler)()));
    pages().into_iter().chain(api).fold(Router::new(), |router, (path, methods)| router.route(path, methods))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::pages;
    use crate::api::ROUTES;
    use crate::pages::testing::Site;

    fn paths() -> impl Iterator<Item = String> {
        pages().into_iter().map(|(path, _)| path).chain(ROUTES.iter().map(|route| route.path)).map(|path| path.replace(['{', '}'], ""))
    }

    #[tokio::test]
    async fn nobody_sees_any_page_but_login_and_health_without_a_session() {
        let site = Site::with_password("of many words").await;
        for path in paths().filter(|path| !["/login", "/healthz"].contains(&path.as_str()) && !path.starts_with("/static/")) {
            for method in ["GET", "POST"] {
                let answer = site.browser().send(method, &path, "").await;
                let closed = (answer.status.is_redirection() && answer.redirect() == "/login")
                    || [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer.status);
                assert!(closed, "{method} {path}: {}", answer.status);
            }
        }
    }

    #[tokio::test]
    async fn nothing_is_changed_by_a_form_without_the_token_of_its_page() {
        let site = Site::appliance().await;
        for path in paths() {
            let answer = site.administrator().send("POST", &path, "password=x&csrf=guessed").await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        }
    }

    #[tokio::test]
    async fn every_answer_carries_the_policy_and_no_page_has_inline_script_or_style() {
        let site = Site::appliance().await;
        for path in paths() {
            let answer = site.administrator().get(&path).await;
            assert!(answer.policy.starts_with("default-src 'none'"), "{path}");
            for forbidden in ["<style", "style=\"", " onclick", " onload", "javascript:"] {
                assert!(!answer.body.contains(forbidden) || path.starts_with("/static/"), "{forbidden} in {path}");
            }
        }
    }
}
