//! A service's process from its beginning to its end: what each `main` does alike.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;

/// How long work on a thread of its own, which cannot be broken off, may keep a process that has ended.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Runs a service to its end. An error is said in one line on standard error, and makes the exit code 1.
pub fn run<E: Display>(
    name: &str,
    mut threads: Builder,
    service: impl Future<Output = Result<(), E>>,
) -> ExitCode {
    raise_open_files();
    let runtime = match threads.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(name, &error),
    };
    let ended = runtime.block_on(service);
    runtime.shutdown_timeout(LAST_WORK);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(name, &error),
    }
}

/// Lets the process open as many files as it may: what it is given at first is often 1024, and each connection needs one.
/// Where that fails it goes on with those.
fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Says how many there are, once there is a log.
pub(crate) fn tell_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    tracing::debug!(?current, ?maximum, "files that may be open");
}

fn failed(name: &str, error: &dyn Display) -> ExitCode {
    eprintln!("{name}: {}", in_one_line(&format!("{error:#}")));
    ExitCode::FAILURE
}

/// The text with its line breaks made spaces: an error is one line of the log.
pub fn in_one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// An error and its causes in one line, each said once.
pub fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
        cause = inner.source();
    }
    in_one_line(&told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the outer fails: {0}")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn an_error_is_said_in_one_line_with_each_cause_once() {
        let error = Outer(std::io::Error::other("broken\n  in two\n"));
        assert_eq!(with_causes(&error), "the outer fails: broken in two");
        assert_eq!(in_one_line(" a\n\n b "), "a b");
    }

    #[test]
    fn a_service_may_open_as_many_files_as_the_system_lets_it() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(512), maximum }).unwrap();
        let mut seen = None;
        let service = async {
            seen = Some(getrlimit(Resource::Nofile).current);
            Ok::<(), &str>(())
        };
        run("test", Builder::new_current_thread(), service);
        assert_eq!(seen, Some(maximum));
    }

    #[test]
    fn the_exit_code_tells_whether_it_ended_well() {
        let told = |result: Result<(), &str>| {
            let ended = run("test", Builder::new_current_thread(), async move { result });
            format!("{ended:?}")
        };
        assert_eq!(told(Ok(())), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(told(Err("no")), format!("{:?}", ExitCode::FAILURE));
    }
}
