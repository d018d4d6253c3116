//! Starting the machine again, and switching it off.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use settings::appliance::Request;

use crate::auth::form::Fields;
use crate::control::Control;
use crate::frame::Frame;
use crate::machine::Machine;

#[derive(Template)]
#[template(path = "system/power.html")]
struct Page {
    frame: Frame,
    confirm: Control,
}

/// The form.
pub(crate) async fn page(machine: Machine) -> Response {
    show(machine, StatusCode::OK, "")
}

fn show(machine: Machine, status: StatusCode, error: &str) -> Response {
    let confirm = Control::tick("confirm", "Nothing is captured while it is off").error(error);
    super::super::render(status, &Page { frame: machine.frame, confirm })
}

/// Does it.
pub(crate) async fn submit(machine: Machine, fields: Fields) -> Response {
    if fields.get("confirm") != "true" {
        return show(machine, StatusCode::UNPROCESSABLE_ENTITY, "say that you know it");
    }
    let (request, what, title, text) = match fields.get("action") {
        "off" => (Request::PowerOff, "power off", "The machine switches itself off", "It has to be switched on by hand."),
        _ => (Request::Reboot, "reboot", "The machine starts again", "It answers in a minute or two; sessions are over then."),
    };
    match machine.order(request, what, "").await {
        Ok(()) => super::super::said(machine.frame, title, text, "/", false),
        Err(error) => show(machine, StatusCode::CONFLICT, &error),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn the_machine_is_switched_off_by_who_says_it_twice() {
        let site = Site::appliance().await;
        let mut browser = site.administrator();
        browser.get("/system/power").await;
        assert_eq!(browser.submit("/system/power", &[("action", "off")]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(!site.world().was_asked("power_off"));
        browser.submit("/system/power", &[("action", "off"), ("confirm", "true")]).await;
        assert!(site.world().was_asked("power_off") && !site.world().was_asked("reboot"));
        browser.submit("/system/power", &[("action", "reboot"), ("confirm", "true")]).await;
        assert!(site.world().was_asked("reboot"));
    }
}
