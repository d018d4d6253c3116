//! `/healthz`: for whatever watches the sensor from outside.

use axum::extract::State;
use axum::http::StatusCode;

use crate::Shared;

/// 200 while the daemon answers, or while the appliance waits to be set up and there is none; 503 otherwise.
pub(crate) async fn page(State(shared): State<Shared>) -> (StatusCode, String) {
    match crate::ask::status(&shared.control).await {
        Ok(_) => (StatusCode::OK, "ok\n".to_owned()),
        Err(_) if shared.appliance.is_some() && !shared.settings.exists() => (StatusCode::OK, "ok, and not set up yet\n".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", crate::history::explain(&error))),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::pages::testing::Site;

    #[tokio::test]
    async fn health_follows_the_daemon_and_needs_no_session() {
        let site = Site::with_password("of many words").await;
        assert_eq!(site.browser().get("/healthz").await.status, StatusCode::OK);
        std::fs::remove_file(site.folder().join("control.sock")).unwrap();
        let page = site.browser().get("/healthz").await;
        assert!(page.status == StatusCode::SERVICE_UNAVAILABLE && page.body.contains("not running"), "{}", page.body);
    }

    #[tokio::test]
    async fn an_appliance_that_waits_for_its_setup_is_well() {
        let site = Site::appliance().await;
        std::fs::remove_file(site.folder().join("control.sock")).unwrap();
        assert_eq!(site.browser().get("/healthz").await.status, StatusCode::OK);
        std::fs::write(site.folder().join("tenrec.toml"), "").unwrap();
        assert_eq!(site.browser().get("/healthz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
