//! What is asked of servers: small ones of this process, which answer what a test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::super::super::client::Client;
use super::super::Input;
use super::super::fetch;
use super::super::look::look;
use super::super::orders::{Kind, Order};
use super::super::place::Wanted;
use super::*;

/// A hang guard; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that answers requests, given as `get /path?query`, one after the other. It ends with the process.
fn server(answer: impl Fn(&str) -> Value + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut asked: Vec<String> = Vec::new();
            while asked.last().is_none_or(|line| !line.is_empty()) {
                let mut line = String::new();
                assert!(reader.read_line(&mut line).unwrap() > 0, "the head has an end");
                asked.push(line.trim_end().to_lowercase());
            }
            // What is not read would cut the answer off.
            let length = asked.iter().find_map(|line| line.strip_prefix("content-length: "));
            reader.read_exact(&mut vec![0; length.map_or(0, |length| length.parse().unwrap())]).unwrap();
            let (path, _) = asked[0].rsplit_once(' ').unwrap();
            let answer = answer(path);
            let body = answer.to_string();
            let status = match answer.get("status").and_then(Value::as_u64) {
                Some(503) => "503 Service Unavailable",
                Some(_) | None if body == "null" => "404 Not Found",
                Some(_) | None => "200 OK",
            };
            let head = "\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length:";
            write!(stream, "HTTP/1.1 {status}{head} {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    url
}

fn wanted(place: Place, tab: Tab, limit: usize) -> Wanted {
    Wanted { place, tab, states: "", limit }
}

fn pool() -> Place {
    Place::Pool { pool: "p q".to_owned() }
}

#[test]
fn pools_and_processors_of_all_instances_are_one_grid() {
    let other = server(|path| match path {
        "get /v1/pools?limit=1000" => {
            json!({"pools": [{"pool": "a"}], "elsewhere": [{"partition": 0, "url": "x"}]})
        }
        // It does not know yet that partition 2 has been taken.
        "get /readyz" => json!({"owned": [{"partition": 1}], "moving": [2]}),
        path => panic!("{path}"),
    });
    let there = other.clone();
    let here = server(move |path| match path {
        "get /v1/pools?limit=1000" => json!({"pools": [{"pool": "b"}], "elsewhere": [
            {"partition": 1, "url": there}, {"partition": 2, "url": "http://127.0.0.1:1"}]}),
        "get /readyz" => json!({"owned": [{"partition": 0}], "moving": [3]}),
        "get /v1/pools/a/workers?limit=1000" => {
            json!({"workers": [{"state": "ACTIVE", "slots": 4, "open": 1}]})
        }
        "get /v1/pools/b/workers?limit=1000" => json!({"workers": [{"state": "LOST", "slots": 4}]}),
        path => panic!("{path}"),
    });
    let Ok(Seen::Grid(grid)) = look(&Client::at(&here), &wanted(Place::Grid, Tab::Pools, 1), NOW) else {
        panic!("no grid");
    };
    let pools: Vec<(&str, Option<Slots>)> =
        grid.pools.rows.iter().map(|pool| (pool.pool.as_str(), pool.slots)).collect();
    let slots = |workers, missing, slots, open| Some(Slots { workers, missing, slots, open });
    assert_eq!(pools, [("a", slots(1, 0, 4, 1)), ("b", slots(0, 1, 0, 0))]);
    let processors: Vec<(i32, &str, bool)> =
        grid.processors.iter().map(|one| (one.partition, one.url.as_str(), one.is_served)).collect();
    let nobody = "http://127.0.0.1:1";
    assert_eq!(processors, [(0, here.as_str(), true), (1, &other, true), (2, nobody, false), (3, "", false)]);
    assert_eq!((grid.instances, grid.silent), (3, vec!["http://127.0.0.1:1".to_owned()]));
}

#[test]
fn the_pools_of_all_instances_come_from_one_of_them() {
    let other = server(|path| match path {
        "get /readyz" => json!({"owned": [{"partition": 1}]}),
        path => panic!("{path}"),
    });
    let there = other.clone();
    let here = server(move |path| match path {
        "get /v1/pools?limit=1000" => json!({"status": 503, "detail": "partition 2 is moving"}),
        "get /v1/pools?limit=1000&partial=ok" => {
            json!({"pools": [{"pool": "b"}, {"pool": "a"}], "moving": [2]})
        }
        "get /readyz" => {
            json!({"owned": [{"partition": 0}], "elsewhere": {"1": there}, "moving": [2]})
        }
        path if path.ends_with("/workers?limit=1000") => json!({"workers": []}),
        path => panic!("{path}"),
    });
    let Ok(Seen::Grid(grid)) = look(&Client::at(&here), &wanted(Place::Grid, Tab::Pools, 1), NOW) else {
        panic!("no grid");
    };
    let pools: Vec<&str> = grid.pools.rows.iter().map(|pool| pool.pool.as_str()).collect();
    assert_eq!((pools, grid.instances, grid.silent.len()), (vec!["a", "b"], 2, 0));
    let processors: Vec<(i32, &str, bool)> =
        grid.processors.iter().map(|one| (one.partition, one.url.as_str(), one.is_served)).collect();
    assert_eq!(processors, [(0, here.as_str(), true), (1, &other, true), (2, "", false)]);
}

#[test]
fn a_list_is_read_page_by_page_up_to_its_limit_and_not_for_ever() {
    let url = server(|path| match path {
        "get /v1/pools/p%20q/stats" => json!({}),
        // Is not there, as on a server without such figures.
        path if path.contains("/stats/windows?") => Value::Null,
        "get /v1/pools/p%20q/workers?limit=3" => json!({"workers": [{}, {}], "next_cursor": "x"}),
        "get /v1/pools/p%20q/workers?limit=1&cursor=x" => json!({"workers": [{}], "next_cursor": "y"}),
        // A filter that nothing passes: each page is empty, and there is always another one.
        path if path.starts_with("get /v1/pools/p%20q/jobs?") => json!({"jobs": [], "next_cursor": "x"}),
        path => panic!("{path}"),
    });
    let client = Client::at(&url);
    let found = look(&client, &wanted(pool(), Tab::Workers, 3), NOW);
    assert!(matches!(found, Ok(Seen::Pool(_, Rows::Workers(list))) if list.rows.len() == 3 && list.has_more));
    let found = look(&client, &wanted(pool(), Tab::Jobs, 3), NOW);
    assert!(matches!(found, Ok(Seen::Pool(_, Rows::Jobs(list))) if list.rows.is_empty() && list.has_more));
}

#[test]
fn the_waits_of_the_last_minute_are_those_of_the_windows() {
    let from = NOW - 60_000;
    let windows = format!("get /v1/pools/p%20q/stats/windows?size=5s&limit=20&from_ms={from}&queue=a%2fb");
    let url = server(move |path| match path {
        path if path == windows => json!({"total": {"queue_wait": {"count": 3, "p99_ms": 250}}}),
        path if path.contains("/queues?") => json!({"queues": [{"queue": "a/b", "live": 7}]}),
        path if path.contains("/tasks?limit=1&queue=a%2fb") => json!({"tasks": []}),
        path => panic!("{path}"),
    });
    let place = Place::Tasks { pool: "p q".to_owned(), of: super::super::place::Of::Queue("a/b".to_owned()) };
    let found = look(&Client::at(&url), &wanted(place, Tab::Tasks, 1), NOW);
    let Ok(Seen::Pool(Head::Queue(numbers, lately), _)) = found else {
        panic!("no queue");
    };
    assert_eq!((numbers.live, lately.queue_wait.p99_ms), (7, Some(250)));
}

#[test]
fn an_order_and_another_screen_do_not_wait_for_the_interval() {
    let url = server(|path| match path {
        path if path.starts_with("post /v1/pools/p%20q/tasks/t-1/cancel?") => json!({"outcome": "applied"}),
        _ => json!({}),
    });
    let (out, inputs) = channel();
    let next = || inputs.recv_timeout(PATIENCE).unwrap();
    let hour = Duration::from_secs(3_600);
    let first = wanted(Place::Grid, Tab::Pools, 1);
    let asks = fetch::start(Client::at(&url), hour, first.clone(), out).unwrap();
    assert!(matches!(next(), Input::News(news) if news.wanted == first));
    let order = Order {
        kind: Kind::CancelTask,
        pool: "p q".to_owned(),
        name: "t-1".to_owned(),
        state: String::new(),
    };
    asks.send(Ask::Do(order)).unwrap();
    assert!(matches!(next(), Input::Told(notice) if notice.text == "cancel of task t-1: applied"));
    assert!(matches!(next(), Input::News(news) if news.wanted == first));
    let second = wanted(pool(), Tab::Queues, 1);
    asks.send(Ask::Look(second.clone())).unwrap();
    assert!(matches!(next(), Input::News(news) if news.wanted == second));
}
