//! The release before serves while this one migrates, and is replaced under load.

use super::installation::{Installation, Release, Service};
use super::phones::Phones;

/// Batches that the phones have committed between two steps.
const BETWEEN_STEPS: u64 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn the_release_before_serves_while_this_one_migrates_and_is_replaced_under_load() {
    let installation = Installation::new().await;
    Release::Previous.tables().await.expand(&installation.pool).await.unwrap();
    let mut services = Vec::new();
    for role in ["ingest", "ingest", "projector", "projector", "compactor", "gateway", "gateway"] {
        services.push(installation.start(Release::Previous, role).await);
    }
    let phones = Phones::start(gateways(&services));
    phones.go_on(BETWEEN_STEPS).await;

    let (migrated, said) = installation.migrate(&[]).await;
    assert!(migrated, "{said}");
    phones.go_on(BETWEEN_STEPS).await;

    for _ in 0..services.len() {
        let old = services.remove(0);
        services.push(installation.start(Release::This, old.role).await);
        // What a Service of Kubernetes does when a new one is ready, and an old one is not any more.
        phones.push_to(gateways(&services));
        old.stop().await;
        phones.go_on(BETWEEN_STEPS).await;
    }
    let (contracted, said) = installation.migrate(&["--contract"]).await;
    assert!(contracted, "{said}");
    phones.end(&installation).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_release_before_serves_again_when_this_one_is_taken_back() {
    let installation = Installation::new().await;
    let (migrated, said) = installation.migrate(&[]).await;
    assert!(migrated, "{said}");
    let mut services = Vec::new();
    for role in ["ingest", "projector", "gateway"] {
        services.push(installation.start(Release::This, role).await);
    }
    let phones = Phones::start(gateways(&services));
    phones.go_on(BETWEEN_STEPS).await;
    for _ in 0..services.len() {
        let new = services.remove(0);
        services.push(installation.start(Release::Previous, new.role).await);
        phones.push_to(gateways(&services));
        new.stop().await;
        phones.go_on(BETWEEN_STEPS).await;
    }
    // Its job, too, may run: there is nothing for it to do.
    let job = Release::Previous.tables().await.expand(&installation.pool).await;
    assert!(job.unwrap().is_empty());
    phones.end(&installation).await;
}

fn gateways(services: &[Service]) -> Vec<std::net::SocketAddr> {
    services.iter().filter_map(|service| service.address).collect()
}
