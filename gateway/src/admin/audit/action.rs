//! What a call does, by a name that stays whatever becomes of its path: `events.read`, `quarantine.release`.

use axum::http::Method;

/// Of calls to paths that the admin API does not have.
const UNKNOWN: &str = "unknown";

const PREFIX: &str = "/admin/v1/";

/// Names what a call to the route with that template does: what it is about, and what it does with it. That is the last
/// word of the path that is no parameter, which is read; of a call that acts, the last two.
pub(super) fn action(method: &Method, template: Option<&str>) -> String {
    let Some(path) = template.and_then(|template| template.strip_prefix(PREFIX)) else {
        return UNKNOWN.to_owned();
    };
    if path.starts_with("{*") {
        return UNKNOWN.to_owned();
    }
    let mut words = path.split('/').filter(|word| !word.starts_with('{'));
    let last = words.next_back().unwrap_or(UNKNOWN);
    let ends_in_word = path.ends_with(last);
    match *method {
        Method::GET | Method::HEAD => format!("{last}.read"),
        Method::POST if ends_in_word && let Some(about) = words.next_back() => format!("{about}.{last}"),
        Method::DELETE => format!("{last}.delete"),
        _ => format!("{last}.write"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_says_what_a_call_is_about_and_what_it_does_with_it() {
        let check = |method: Method, path: &str, expect: &str| {
            let template = format!("/admin/v1/{path}");
            assert_eq!(action(&method, Some(&template)), expect, "{method} {path}");
        };
        check(Method::GET, "spaces", "spaces.read");
        check(Method::GET, "spaces/{space}", "spaces.read");
        check(Method::GET, "spaces/{space}/events", "events.read");
        check(Method::GET, "spaces/{space}/entities/{type}/{id}/explain", "explain.read");
        check(Method::HEAD, "audit", "audit.read");
        check(Method::POST, "quarantine/{space}/{device}/{sequence}/release", "quarantine.release");
        check(Method::POST, "spaces/{space}/devices/{deviceId}/revoke", "devices.revoke");
        check(Method::PUT, "spaces/{space}/devices/{deviceId}", "devices.write");
        check(Method::PATCH, "spaces/{space}/devices/{deviceId}", "devices.write");
        check(Method::DELETE, "spaces/{space}", "spaces.delete");
        check(Method::POST, "spaces/{space}", "spaces.write");
        check(Method::POST, "audit", "audit.write");
        check(Method::GET, "{*path}", "unknown");
        assert_eq!(action(&Method::GET, None), "unknown");
        assert_eq!(action(&Method::GET, Some("/v1/schema")), "unknown");
    }
}
