//! `deploy/kubernetes` against the schemas of Kubernetes, the program, and each other.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::words::Words;
use super::{directory, documents, fields, python, read, root, strings};

/// Faults of each document of Kubernetes' own kinds by its schema, where a field that is not known is a fault, too.
const CHECK: &str = "
import json, sys, yaml, kubernetes_validate
faults = []
for document in yaml.safe_load_all(sys.stdin):
    try:
        kubernetes_validate.validate(document, '1.34', strict=True)
    except kubernetes_validate.ValidationError as error:
        faults.append(document['kind'] + ' ' + '.'.join(map(str, error.path)) + ': ' + error.message)
json.dump(faults, sys.stdout)";

const FOLDER: &str = "deploy/kubernetes";

/// The files that the kustomization names.
fn files() -> Vec<String> {
    let kustomization = documents(&read(&format!("{FOLDER}/kustomization.yaml"))).remove(0);
    strings(&kustomization["resources"]).iter().map(|name| format!("{FOLDER}/{name}")).collect()
}

/// Every document by kind and name.
fn all() -> BTreeMap<(String, String), Value> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let documents = files().iter().flat_map(|path| documents(&read(path))).collect::<Vec<_>>();
    documents.into_iter().map(|one| ((text(&one["kind"]), text(&one["metadata"]["name"])), one)).collect()
}

fn one<'a>(all: &'a BTreeMap<(String, String), Value>, kind: &str, name: &str) -> &'a Value {
    all.get(&(kind.to_owned(), name.to_owned())).unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// What a pod's only container runs, for a pod of this name.
fn words(workload: &Value, pod: &str) -> Words {
    let container = &workload["spec"]["template"]["spec"]["containers"][0];
    let mut words = Words { words: strings(&container["args"]), variables: Vec::new() };
    for variable in container["env"].as_array().unwrap() {
        let field = &variable["valueFrom"]["fieldRef"]["fieldPath"];
        assert!(variable["value"].is_string() || field == "metadata.name", "{variable}");
        let value = variable["value"].as_str().unwrap_or(pod);
        words.variables.push((variable["name"].as_str().unwrap().to_owned(), value.to_owned()));
    }
    words.map(|text| text.replace("$(POD_NAME)", pod))
}

/// With the mounted configuration as a file of this machine.
fn with_config(all: &BTreeMap<(String, String), Value>, words: &Words) -> Words {
    let text = one(all, "ConfigMap", "yardmaster")["data"]["yardmaster.toml"].as_str().unwrap();
    let path = directory("kubernetes").join("yardmaster.toml");
    fs::write(&path, text).unwrap();
    words.map(|text| text.replace("/etc/yardmaster/yardmaster.toml", path.to_str().unwrap()))
}

#[test]
fn every_manifest_keeps_its_schema() {
    let mut listed = files();
    let mut there: Vec<String> = fs::read_dir(root().join(FOLDER))
        .unwrap()
        .map(|entry| format!("{FOLDER}/{}", entry.unwrap().file_name().to_string_lossy()))
        .filter(|path| path.ends_with(".yaml") && !path.ends_with("kustomization.yaml"))
        .collect();
    listed.sort();
    there.sort();
    assert_eq!(listed, there, "the kustomization names every manifest");
    // ScaledObject is KEDA's own kind.
    for path in listed.iter().filter(|path| !path.ends_with("scaledobject.yaml")) {
        let text = read(path);
        assert_eq!(python(CHECK, &text), serde_json::json!([]), "{path}");
    }
    let bad = read(&format!("{FOLDER}/servers.yaml")).replace("failureThreshold: 6", "failureTreshold: 6");
    assert!(
        python(CHECK, &bad)[0].as_str().unwrap().contains("failureTreshold"),
        "a mistyped field is found"
    );
}

#[test]
fn servers_keep_their_names_and_find_each_other() {
    let all = all();
    let set = one(&all, "StatefulSet", "yardmaster-server");
    let words = with_config(&all, &words(set, "yardmaster-server-1"));
    words.must_be_taken();
    let shown = words.configuration();
    assert_eq!(shown["instance.id"], "yardmaster-server-1");
    let service = set["spec"]["serviceName"].as_str().unwrap();
    let headless = one(&all, "Service", service);
    assert_eq!(headless["spec"]["clusterIP"], "None");
    // Or no server could ask another for what it is about to hand over.
    assert_eq!(headless["spec"]["publishNotReadyAddresses"], true);
    assert_eq!(shown["http.advertise"], format!("http://yardmaster-server-1.{service}:9733"));
    assert_eq!(shown["http.listen"], "0.0.0.0:9733");
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let mounted = |path: &str| {
        let mounts = container["volumeMounts"].as_array().unwrap().iter();
        mounts.into_iter().find(|mount| path.starts_with(mount["mountPath"].as_str().unwrap())).unwrap()["name"].clone()
    };
    assert_eq!(mounted(&shown["state_dir"]), set["spec"]["volumeClaimTemplates"][0]["metadata"]["name"]);
    assert!(shown["http.token_file"].starts_with("/etc/yardmaster-token/"));
    assert!(!all.keys().any(|(kind, _)| kind == "Secret"), "the token is made by the user and in no file");
    for (probe, path) in
        [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
    {
        let asked = &container[probe]["httpGet"];
        assert_eq!((asked["path"].as_str(), asked["port"].as_str()), (Some(path), Some("http")));
    }
    assert_eq!(container["ports"][0]["containerPort"], 9733);
}

#[test]
fn what_selects_pods_selects_these() {
    let all = all();
    for ((kind, name), document) in &all {
        let spec = &document["spec"];
        let selector = match kind.as_str() {
            "Service" => &spec["selector"],
            "StatefulSet" | "Deployment" | "PodDisruptionBudget" => &spec["selector"]["matchLabels"],
            _other => continue,
        };
        let is_selected = |((kind, _), workload): &(&(String, String), &Value)| {
            let labels = &workload["spec"]["template"]["metadata"]["labels"];
            let is_workload = matches!(kind.as_str(), "StatefulSet" | "Deployment");
            is_workload && fields(selector).into_iter().all(|(label, value)| labels[label] == *value)
        };
        let selected: Vec<&str> =
            all.iter().filter(is_selected).map(|((_, name), _)| name.as_str()).collect();
        assert_eq!(selected.len(), 1, "{kind} {name} selects {selected:?}");
    }
    for (kind, name) in [("StatefulSet", "yardmaster-server"), ("Deployment", "yardmaster-worker")] {
        let pod = &one(&all, kind, name)["spec"]["template"]["spec"];
        // A Service puts its address into YARDMASTER_* variables, and those are settings.
        assert_eq!(pod["enableServiceLinks"], false, "{name}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        let user = format!("USER {0}:{0}\n", pod["securityContext"]["runAsUser"]);
        assert!(read("Dockerfile").contains(&user), "{name} runs as another user than the image's");
    }
}

#[test]
fn workers_are_named_by_their_pods_and_scaled_by_what_there_is_to_do() {
    let all = all();
    let deployment = one(&all, "Deployment", "yardmaster-worker");
    let words = with_config(&all, &words(deployment, "yardmaster-worker-abc12"));
    words.must_be_taken();
    assert_eq!(words.flag("name"), Some("yardmaster-worker-abc12"));
    let patience = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64();
    assert!(patience > Some(60), "SIGTERM drains: {patience:?} s are all that running tasks have");
    assert!(deployment["spec"]["replicas"].is_null(), "each apply would undo what KEDA decided");

    let scaled = one(&all, "ScaledObject", "yardmaster-worker");
    assert_eq!(scaled["spec"]["scaleTargetRef"]["name"], "yardmaster-worker");
    let trigger = &scaled["spec"]["triggers"][0];
    assert_eq!(trigger["type"], "prometheus");
    assert_eq!(trigger["metadata"]["threshold"].as_str(), words.flag("slots"));
    let query = trigger["metadata"]["query"].as_str().unwrap();
    let (metric, rest) = query.trim_start_matches("sum(").split_once('{').unwrap();
    assert!(read("src/metrics/names.rs").contains(&format!("\"{metric}\"")), "there is no metric {metric}");
    assert!(rest.contains(&format!("pool=\"{}\"", words.flag("pool").unwrap())), "{query}");
    let (_, states) = rest.split_once("state=~\"").unwrap();
    for state in states.split('"').next().unwrap().split('|') {
        let known = yardmaster_topologies::task::TaskState::from_name(state);
        assert!(known.is_some_and(|state| !state.is_terminal()), "{state} in {query}");
    }
}
