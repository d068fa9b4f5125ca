//! The page to try the API.

use std::net::SocketAddr;

use reqwest::Client;
use reqwest::header::CONTENT_SECURITY_POLICY;
use reqwest::redirect::Policy;
use tidelog_tests::{Answer, World, WorldOptions};

async fn get(address: SocketAddr, path: &str) -> Answer {
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    Answer::of(client.get(format!("http://{address}{path}"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_listener_serves_a_page_to_try_its_own_api_to_anyone() {
    let world = World::new().await;
    for (address, path) in [(world.address, "/v1/schema"), (world.admin_address, "/admin/v1/spaces")] {
        let moved = get(address, "/docs").await;
        assert_eq!((moved.status.as_u16(), &moved.headers["location"]), (308, &"/docs/".parse().unwrap()));
        let page = get(address, "/docs/").await;
        assert!(page.expect(200).headers["content-type"].to_str().unwrap().starts_with("text/html"));
        let initializer = get(address, "/docs/swagger-initializer.js").await;
        let script = String::from_utf8(initializer.expect(200).body.clone()).unwrap();
        assert!(script.contains("\"/openapi.json\"") && !script.contains("://"), "{script}");
        assert!(script.contains("\"validatorUrl\": \"none\""), "{script}");
        let description = get(address, "/openapi.json").await;
        assert!(description.expect(200).json["paths"][path].is_object(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_loads_only_what_the_gateway_has_and_is_in_nobodys_frame() {
    let world = World::new().await;
    for file in ["", "swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"] {
        let answer = get(world.address, &format!("/docs/{file}")).await;
        let headers = &answer.expect(200).headers;
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        let sources: Vec<_> = policy.split("; ").collect();
        for rule in
            ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]
        {
            assert!(sources.contains(&rule), "{file}: {policy}");
        }
        assert!(!policy.contains("http") && !policy.contains('*') && !policy.contains("eval"), "{policy}");
        assert_eq!(
            (&headers["x-content-type-options"], &headers["referrer-policy"]),
            (&"nosniff".parse().unwrap(), &"no-referrer".parse().unwrap(),)
        );
    }
    for file in ["swagger-ui.js", "oauth2-redirect.html", "..%2Fopenapi.json", "nothing"] {
        get(world.address, &format!("/docs/{file}")).await.expect_refusal(404, "not-found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_can_be_switched_off() {
    let world = WorldOptions::default().set("gateway.docs", false).start().await;
    for address in [world.address, world.admin_address] {
        for path in ["/docs", "/docs/", "/docs/index.html"] {
            get(address, path).await.expect_refusal(404, "not-found");
        }
        get(address, "/openapi.json").await.expect(200);
    }
}
