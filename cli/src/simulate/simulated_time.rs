//! Answers of the stack as they would be at the simulated time.

use tidelog_client::transport::Answer;
use tidelog_events::frame::write_line;
use tidelog_events::protocol::{HelloLine, UtcTime};

/// The answer with the simulated time in place of the server's.
pub(super) fn told_at(answer: Answer, now: UtcTime) -> Answer {
    match answer {
        Answer::Pulled(lines) => Answer::Pulled(hello_at(lines, now)),
        Answer::Pushed(mut pushed) => {
            pushed.server_time = now;
            Answer::Pushed(pushed)
        }
        Answer::Refused(mut refused) => {
            refused.server_time = refused.server_time.map(|_| now);
            Answer::Refused(refused)
        }
        other @ Answer::OwnEvents(_) => other,
    }
}

fn hello_at(lines: String, now: UtcTime) -> String {
    let Some((first, rest)) = lines.split_once('\n') else { return lines };
    let Ok(mut line) = serde_json::from_str::<HelloLine>(first) else { return lines };
    line.hello.server_time = now;
    let mut told = Vec::with_capacity(lines.len());
    write_line(&mut told, &line);
    told.extend_from_slice(rest.as_bytes());
    String::from_utf8(told).unwrap_or(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_tells_the_simulated_time_and_the_other_lines_stay() {
        let hello = |time: &str| {
            format!(
                r#"{{"hello":{{"serverTime":"{time}","epoch":null,"head":0,"horizon":0,"schemaVersion":3,"cursor":0,"device":null}}}}"#
            )
        };
        let lines = format!("{}\n{{\"segment\":1}}\n", hello("2026-11-22T19:15:20.123Z"));
        let now: UtcTime = "2026-10-01T00:00:00.000Z".parse().unwrap();
        assert_eq!(
            hello_at(lines, now),
            format!("{}\n{{\"segment\":1}}\n", hello("2026-10-01T00:00:00.000Z"))
        );
        assert_eq!(hello_at("torn".to_owned(), now), "torn");
    }
}
