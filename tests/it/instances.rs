//! Two servers share the partitions, and either answers for both; when one is killed the other takes over, and nothing is
//! lost or doubled.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;

use crate::cluster::{
    Answer, Fleet, FleetOptions, Server, ServerOptions, Topic, Watch, await_some, bootstrap, scaled,
    submit_range,
};
use yardmaster_checker::{must_be_clean, read_all};

/// Enough names that both servers own some, wherever the hash puts them.
const POOLS: usize = 12;

fn pool(number: usize) -> String {
    format!("pool{number}")
}

/// The pools of the partitions that a server has itself, as it says to other servers.
fn owned(server: &Server) -> Vec<usize> {
    let says = |number: usize| {
        let asked = server.http.passed_on(&format!("/v1/pools/{}/stats", pool(number)));
        asked.is_some_and(|answer| matches!(answer.status, 200 | 404))
    };
    (0..POOLS).filter(|number| says(*number)).collect()
}

/// How many partitions each server has.
fn shares(server: &Server) -> Vec<usize> {
    let view = server.http.get("/v1/cluster").json();
    let instances = view["instances"].as_array().cloned().unwrap_or_default();
    instances.iter().map(|instance| instance["owns"].as_array().map_or(0, Vec::len)).collect()
}

#[test]
fn two_instances() {
    let options = ServerOptions::new("instances");
    let mut one = Server::start(&options);
    let other = Server::start(&options.named("two"));
    let watch = Watch::start(&options.namespace);
    share(&one, &other);
    either_answers_everything(&one, &other);
    let fleets: Vec<Fleet> = (0..POOLS)
        .map(|number| {
            let mut fleet = FleetOptions::new(&options.namespace, &pool(number));
            (fleet.workers, fleet.runs, fleet.seed) = (1, Some(Duration::from_millis(20)), 1);
            Fleet::start(fleet)
        })
        .collect();
    let topic = Topic::new(&one.topic("tasks"));
    let each = scaled(100);
    let fields = json!({"command":["true"],"retry":{"max_losses":50}});
    let submit = |half: usize| {
        for number in 0..POOLS {
            submit_range(&topic, &pool(number), "t", half * each..(half + 1) * each, &fields);
        }
    };
    submit(0);
    watch.await_ends(each * POOLS / 3, &other);
    let theirs = owned(&one);
    one.kill();
    submit(1);
    never_a_wrong_answer(&other, &theirs);
    let all = 2 * each * POOLS + 2 * POOLS;
    watch.await_ends(all, &other);
    drop(fleets);
    let report = must_be_clean(&read_all(&bootstrap(), &options.namespace));
    assert_eq!((report.accepted, report.refused), (all, 0), "{report:?}");
}

/// Waits until each pool has one of the two as its owner, and each of them owns some.
fn share(one: &Server, other: &Server) {
    let words = || format!("{}\n{}", one.last_words(), other.last_words());
    await_some("both servers owning something, and each pool one owner", words, || {
        let (first, second) = (owned(one), owned(other));
        let disjoint = !first.iter().any(|number| second.contains(number));
        // A newcomer takes some partitions at a time: the last of them has moved.
        let is_over = shares(one) == [4, 4];
        let is_one_each = first.len() + second.len() == POOLS;
        (!first.is_empty() && !second.is_empty() && disjoint && is_one_each && is_over).then_some(())
    });
}

/// An answer that is about the matter: while partitions are still moved for balance some are refused.
fn settled(server: &Server, ask: impl Fn() -> Answer) -> Answer {
    await_some("an answer", || server.last_words(), || Some(ask()).filter(|answer| answer.status != 503))
}

fn either_answers_everything(one: &Server, other: &Server) {
    for server in [one, other] {
        for number in 0..POOLS {
            let id = format!("{}-{number}", server.options.name);
            let path = format!("/v1/tasks?wait=applied&wait_ms=20000&pool={}", pool(number));
            let answer = settled(server, || server.http.post(&path, &json!({"id": id, "command": ["true"]})));
            assert_eq!(answer.expect(201)["tasks"][0]["outcome"], "accepted", "{answer:?}");
        }
    }
    let get = |server: &Server, path: String| settled(server, || server.http.get(&path)).expect(200);
    let names = [one, other].map(|server| {
        let list = get(server, "/v1/pools".to_owned());
        let rows = list["pools"].as_array().unwrap().iter();
        rows.map(|row| row["pool"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    });
    assert_eq!((names[0].len(), &names[0]), (POOLS, &names[1]));
    for number in 0..POOLS {
        for server in [one, other] {
            for by in [one, other] {
                let id = format!("{}-{number}", by.options.name);
                let task = get(server, format!("/v1/pools/{}/tasks/{id}", pool(number)));
                assert_eq!(task["id"], id.as_str());
                assert_eq!(get(server, format!("/v1/tasks/{id}"))["pool"], pool(number).as_str());
            }
        }
    }
}

/// From the kill of the other one on, a server answers for its pools with 503 until it has them, and never with less.
fn never_a_wrong_answer(server: &Server, theirs: &[usize]) {
    let (mut served, mut refused) = (0, 0);
    await_some(
        "the takeover",
        || server.last_words(),
        || {
            served = 0;
            for number in theirs {
                let id = format!("one-{number}");
                let answer = server.http.get(&format!("/v1/pools/{}/tasks/{id}", pool(*number)));
                match answer.status {
                    200 => served += 1,
                    503 => refused += usize::from(answer.retry_after.is_some()),
                    status => panic!("{status}: {answer:?}"),
                }
            }
            let list = server.http.get("/v1/pools");
            match list.status {
                200 => assert_eq!(list.json()["pools"].as_array().unwrap().len(), POOLS, "{list:?}"),
                503 => refused += usize::from(list.retry_after.is_some()),
                status => panic!("{status}: {list:?}"),
            }
            (served == theirs.len() && list.status == 200).then_some(())
        },
    );
    assert!(refused > 0, "nobody took over, and yet everything was answered");
}

/// Somebody writes to the topic of instances that a server is elsewhere, at an address that http.peers does not allow.
#[test]
fn an_address_that_is_only_said_is_not_asked() {
    let options = ServerOptions::new("ghost").with("YARDMASTER_HTTP_PEERS", "127.0.0.1");
    let one = Server::start(&options.clone().with("YARDMASTER_INSTANCE_ID", "one"));
    let mut two = Server::start(&options.named("two").with("YARDMASTER_INSTANCE_ID", "two"));
    share(&one, &two);
    let theirs = owned(&two);
    let trap = TcpListener::bind("127.0.0.9:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let url = format!("http://{}", trap.local_addr().unwrap());
    let forged = json!({"v": 1, "instance": "two", "url": url, "leaving": false,
        "partitions": (0..8).collect::<Vec<_>>()});
    let topic = Topic::new(&one.topic("instances"));
    two.kill();
    await_some(
        "the server that is said to be elsewhere",
        || one.last_words(),
        || {
            topic.send(Some(b"two"), Some(forged.to_string().as_bytes()));
            let names_it = |path: &str| {
                let answer = one.http.get(path);
                answer.status == 503 && answer.body.contains(&url)
            };
            let paths = theirs.iter().map(|number| format!("/v1/pools/{}/stats", pool(*number)));
            paths.chain(["/v1/pools".to_owned()]).all(|path| names_it(&path)).then_some(())
        },
    );
    let asked = trap.accept().map(|_| "the address was asked");
    assert_eq!(asked.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    await_some(
        "the takeover",
        || one.last_words(),
        || (one.http.get("/v1/pools").status == 200).then_some(()),
    );
}
