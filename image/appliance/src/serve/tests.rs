//! Questions over the socket, to a service with a made-up machine under it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use settings::appliance::{Client, Request, Response};

use super::*;
use crate::interfaces::testing::port;

struct Service {
    _root: tempfile::TempDir,
    places: Places,
    socket: PathBuf,
}

impl Service {
    fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let places = Places::under(root.path());
        port(&places, "enp1s0", 2, true);
        port(&places, "enp2s0", 3, true);
        fs::create_dir_all(places.run("")).unwrap();
        let socket = root.path().join("appliance.sock");
        let listener = listen(&places, &socket).unwrap();
        let appliance = Arc::new(Appliance::new(places.clone()));
        thread::spawn(move || accept(&appliance, &listener));
        Self { _root: root, places, socket }
    }

    fn ask(&self, request: &Request) -> Response {
        Client::connect(&self.socket).unwrap().ask(request).unwrap()
    }

    fn refusal(&self, request: &Request) -> String {
        Client::connect(&self.socket).unwrap().ask(request).unwrap_err().to_string()
    }

    fn finished(&self) -> settings::appliance::Job {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Response::Job(job) = self.ask(&Request::Job)
                && job.over
            {
                return job;
            }
            assert!(Instant::now() < deadline, "the job does not end");
            thread::yield_now();
        }
    }
}

#[test]
fn the_socket_is_for_nobody_until_it_has_its_group() {
    let service = Service::start();
    let mode = fs::metadata(&service.socket).unwrap().permissions().mode() & 0o777;
    assert_ne!(mode & 0o660, 0o660, "there is no group tenrec-web in this tree");
}

#[test]
fn a_fresh_machine_says_that_its_setup_is_pending() {
    let service = Service::start();
    let Response::State(state) = service.ask(&Request::State) else { panic!("no state") };
    assert!(state.setup && !state.configured && !state.data);
    let Response::Settings { text } = service.ask(&Request::Settings { secrets: true }) else { panic!("no settings") };
    assert_eq!(text, "");
    let Response::Interfaces { interfaces } = service.ask(&Request::Interfaces) else { panic!("no interfaces") };
    assert_eq!(interfaces.iter().map(|interface| interface.name.as_str()).collect::<Vec<_>>(), ["enp1s0", "enp2s0"]);
}

#[test]
fn a_password_must_be_a_hash_and_ends_the_setup() {
    let service = Service::start();
    assert!(service.refusal(&Request::SetPassword { hash: "hunter2".to_owned().into() }).contains("hash"));
    let hash = crate::setup::hash("correct horse battery").unwrap();
    assert_eq!(service.ask(&Request::SetPassword { hash: hash.into() }), Response::Done);
    let Response::State(state) = service.ask(&Request::State) else { panic!("no state") };
    assert!(!state.setup);
}

#[test]
fn wrong_settings_are_refused_with_the_key_and_change_nothing() {
    let service = Service::start();
    assert_eq!(service.ask(&Request::Apply { text: "[capture]\nsnaplen = 7\n".to_owned() }), Response::Done);
    let job = service.finished();
    assert!(job.error.contains("capture.snaplen"), "{}", job.error);
    assert!(!service.places.settings().exists());
}

#[test]
fn units_and_ports_that_are_not_ours_are_refused_by_name() {
    let service = Service::start();
    assert!(service.refusal(&Request::RestartService { unit: "dbus.service".to_owned() }).contains("dbus.service"));
    assert!(service.refusal(&Request::Journal { unit: "../x".to_owned(), lines: 1 }).contains("not one of"));
    assert!(service.refusal(&Request::Blink { interface: "lo".to_owned(), seconds: 1 }).contains("enp1s0, enp2s0"));
}

#[test]
fn garbage_is_answered_and_the_conversation_goes_on() {
    let service = Service::start();
    let mut stream = UnixStream::connect(&service.socket).unwrap();
    stream.write_all(b"{\"request\":\"format\"}\n{\"request\":\"job\"}\n").unwrap();
    let mut lines = BufReader::new(&stream).lines();
    assert!(lines.next().unwrap().unwrap().contains("not understood"));
    assert!(lines.next().unwrap().unwrap().starts_with("{\"response\":\"job\""));
}
