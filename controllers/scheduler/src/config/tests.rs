#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

const HEAD: &str = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";

fn read(text: &str) -> Result<Config, String> {
    Config::read(&format!("{HEAD}{text}"))
}

/// What filters, and what scores with which weight, of the first profile.
fn on(text: &str) -> (Vec<&'static str>, Vec<(&'static str, i64)>) {
    let config = read(text).unwrap();
    let table = &config.profiles[0].table;
    let filters = table.filters.iter().map(|filter| filter.name());
    let scores = table
        .scores
        .iter()
        .map(|(score, weight)| (score.name(), *weight));
    (filters.collect(), scores.collect())
}

fn in_profile(text: &str) -> String {
    let lines = text.lines().map(|line| format!("  {line}\n"));
    format!(
        "profiles:\n- schedulerName: mine\n{}",
        lines.collect::<String>()
    )
}

#[test]
fn without_more_it_is_the_default_one() {
    let (config, default) = (read("").unwrap(), Table::default());
    assert_eq!(config.profiles.len(), 1);
    assert_eq!(config.profiles[0].name, "default-scheduler");
    let (filters, scores) = on("");
    let names: Vec<_> = default.filters.iter().map(|filter| filter.name()).collect();
    let weights: Vec<_> = default
        .scores
        .iter()
        .map(|(score, weight)| (score.name(), *weight))
        .collect();
    assert_eq!((filters, scores), (names, weights));
    assert!(config.profiles[0].table.preempts);
    assert_eq!(
        (
            config.initial_backoff.as_secs(),
            config.max_backoff.as_secs()
        ),
        (1, 10)
    );
}

#[test]
fn plugins_are_switched_on_and_off_at_points_and_at_all() {
    let all = "plugins: { multiPoint: { disabled: [{ name: ImageLocality }, { name: DefaultPreemption }, { name: NodePorts }] } }";
    let (filters, scores) = on(&in_profile(all));
    assert!(
        !filters.contains(&"NodePorts") && !scores.iter().any(|(name, _)| *name == "ImageLocality")
    );
    assert!(!read(&in_profile(all)).unwrap().profiles[0].table.preempts);

    let only = "plugins: { score: { disabled: [{ name: '*' }], enabled: [{ name: NodeResourcesFit, weight: 5 }, { name: ImageLocality }] } }";
    let (filters, scores) = on(&in_profile(only));
    assert_eq!(filters.len(), Table::default().filters.len());
    assert_eq!(scores, [("NodeResourcesFit", 5), ("ImageLocality", 1)]);

    let heavier = "plugins: { multiPoint: { enabled: [{ name: TaintToleration, weight: 7 }] } }";
    assert_eq!(on(&in_profile(heavier)).1[0], ("TaintToleration", 7));

    let few = "plugins: { multiPoint: { disabled: [{ name: '*' }], enabled: [{ name: PrioritySort }, { name: DefaultBinder },
        { name: SchedulingGates }, { name: NodeAffinity, weight: 3 }, { name: NodeName }] } }";
    assert_eq!(
        on(&in_profile(few)),
        (vec!["NodeAffinity", "NodeName"], vec![("NodeAffinity", 3)])
    );

    let first = "plugins: { filter: { enabled: [{ name: NodeResourcesFit }] } }";
    assert_eq!(
        on(&in_profile(first)).0[..2],
        ["NodeResourcesFit", "NodeUnschedulable"]
    );
}

#[test]
fn profiles_have_names_and_their_own_share_of_nodes() {
    let text = "percentageOfNodesToScore: 30\npodInitialBackoffSeconds: 2\npodMaxBackoffSeconds: 20\nparallelism: 4\n\
                leaderElection: { leaderElect: false }\nclientConnection: { qps: 5000 }\n\
                profiles: [{ schedulerName: a }, { schedulerName: b, percentageOfNodesToScore: 50 }]";
    let config = read(text).unwrap();
    let shares: Vec<_> = config
        .profiles
        .iter()
        .map(|it| (&*it.name, it.table.percentage))
        .collect();
    assert_eq!(shares, [("a", Some(30)), ("b", Some(50))]);
    assert_eq!(
        (
            config.initial_backoff.as_secs(),
            config.max_backoff.as_secs()
        ),
        (2, 20)
    );
}

#[test]
fn arguments_are_taken() {
    let text = "pluginConfig:
- name: DefaultPreemption
  args: { apiVersion: kubescheduler.config.k8s.io/v1, kind: DefaultPreemptionArgs, minCandidateNodesPercentage: 5, minCandidateNodesAbsolute: 7 }
- name: InterPodAffinity
  args: { hardPodAffinityWeight: 3 }
- name: VolumeBinding
  args: { bindTimeoutSeconds: 90 }
- name: NodeResourcesFit
  args: { ignoredResources: [x.io/a], scoringStrategy: { type: MostAllocated, resources: [{ name: x.io/b, weight: 3 }] } }
- name: PodTopologySpread
  args: { defaultingType: List, defaultConstraints: [{ maxSkew: 1, topologyKey: rack, whenUnsatisfiable: ScheduleAnyway }] }";
    let config = read(&in_profile(text)).unwrap();
    let table = &config.profiles[0].table;
    let candidates = table.candidates;
    assert_eq!((candidates.percentage, candidates.absolute), (5, 7));
    assert_eq!(table.volume_timeout.as_secs(), 90);
}

#[test]
fn what_is_wrong_is_said_with_its_field() {
    let profile = |text: &str| in_profile(text);
    let argued = |name: &str, args: &str| {
        profile(&format!("pluginConfig: [{{ name: {name}, args: {args} }}]"))
    };
    for (text, expected) in [
        ("nothing: 1".to_owned(), "unknown field `nothing`"),
        (
            "podMaxBackoffSeconds: 0".to_owned(),
            "podMaxBackoffSeconds: 0 is not greater than 0",
        ),
        (
            "percentageOfNodesToScore: 101".to_owned(),
            "percentageOfNodesToScore: 101 is not in 0 to 100",
        ),
        (
            "profiles: [{}, {}]".to_owned(),
            "profiles[1].schedulerName: \"default-scheduler\" is there twice",
        ),
        (profile("plugin: {}"), "profiles[0]: unknown field `plugin`"),
        (
            profile("plugins: { filters: {} }"),
            "profiles[0].plugins: unknown field `filters`",
        ),
        (
            profile("plugins: { filter: { enabled: [{ name: Mine }] } }"),
            "profiles[0].plugins.filter.enabled[0].name: \"Mine\" is no plugin",
        ),
        (
            profile("plugins: { score: { disabled: [{ name: Mine }] } }"),
            "profiles[0].plugins.score.disabled[0].name: \"Mine\" is no plugin",
        ),
        (
            profile("plugins: { multiPoint: { enabled: [{ name: GangScheduling }] } }"),
            "enabled[0].name: \"GangScheduling\" is not there yet",
        ),
        (
            profile("plugins: { bind: { disabled: [{ name: '*' }] } }"),
            "profiles[0].plugins.bind: \"DefaultBinder\" cannot",
        ),
        (
            argued("Mine", "{}"),
            "profiles[0].pluginConfig[0].name: \"Mine\" is no plugin with arguments",
        ),
        (
            argued("InterPodAffinity", "{ weight: 1 }"),
            "profiles[0].pluginConfig[0].args: unknown field `weight`",
        ),
        (
            argued("InterPodAffinity", "{ hardPodAffinityWeight: 101 }"),
            "args.hardPodAffinityWeight: 101 is not in 0 to 100",
        ),
        (
            argued("VolumeBinding", "{ bindTimeoutSeconds: -1 }"),
            "args.bindTimeoutSeconds: -1 is not in 0 to",
        ),
        (
            argued("InterPodAffinity", "{ kind: NodeAffinityArgs }"),
            "args.kind: is not \"InterPodAffinityArgs\"",
        ),
        (
            argued("NodeResourcesFit", "{ scoringStrategy: { type: Most } }"),
            "args.scoringStrategy.type: \"Most\"",
        ),
        (
            argued(
                "NodeResourcesFit",
                "{ scoringStrategy: { type: RequestedToCapacityRatio } }",
            ),
            "requestedToCapacityRatio.shape: has no point",
        ),
        (
            argued(
                "PodTopologySpread",
                "{ defaultConstraints: [{ maxSkew: 1, topologyKey: k, whenUnsatisfiable: DoNotSchedule }] }",
            ),
            "args.defaultConstraints: needs",
        ),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let error = Config::read("apiVersion: v1\nkind: Pod").unwrap_err();
    assert!(
        error.starts_with("apiVersion, kind: \"v1\", \"Pod\" is not"),
        "{error}"
    );
    assert!(
        Config::read("{")
            .unwrap_err()
            .starts_with("not YAML or JSON")
    );
}

#[test]
fn what_is_shown_can_be_read_as_a_file_and_means_the_same() {
    let text = "
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
podMaxBackoffSeconds: 20
leaderElection: { leaderElect: false }
profiles:
- schedulerName: other
  plugins: { score: { disabled: [{ name: ImageLocality }] }, multiPoint: { disabled: [{ name: DefaultPreemption }] } }
  pluginConfig: [{ name: NodeResourcesFit, args: { ignoredResources: [example.com/x] } }]
";
    let show = |text: &str| {
        let config = Config::read(text).unwrap();
        let times = |of: Duration| jiff::SignedDuration::try_from(of).unwrap();
        let backoff = Backoff {
            initial: times(config.initial_backoff),
            max: times(config.max_backoff),
        };
        shown(&config.profiles, backoff, &config.extras)
    };
    let first = show(text);
    assert_eq!(first["podMaxBackoffSeconds"], 20);
    assert_eq!(first["leaderElection"]["leaderElect"], false);
    let plugins = &first["profiles"][0]["plugins"];
    assert_eq!(
        plugins["score"]["enabled"][0],
        serde_json::json!({ "name": "TaintToleration", "weight": 3 })
    );
    let all = plugins.to_string();
    assert!(!all.contains("ImageLocality") && !all.contains("DefaultPreemption"));
    assert_eq!(show(&first.to_string()), first);
}

#[test]
fn extenders_are_read_and_those_that_may_fail_come_last() {
    let text = "extenders:
- { urlPrefix: 'https://a/x', filterVerb: f, ignorable: true, enableHTTPS: true, httpTimeout: 100ms }
- { urlPrefix: 'http://b', prioritizeVerb: p, weight: 2, bindVerb: b, preemptVerb: e, nodeCacheCapable: true,
    managedResources: [{ name: x.io/gpu, ignoredByScheduler: true }, { name: x.io/nic }] }
- { urlPrefix: 'https://c', tlsConfig: { caFile: ca.pem, certData: QQ==, keyData: Qg==, serverName: c.x } }";
    let config = read(text).unwrap();
    let [first, second, third] = &config.extenders[..] else {
        panic!("{:?}", config.extenders)
    };
    assert_eq!(
        [&first.url, &second.url, &third.url],
        ["http://b", "https://c", "https://a/x"]
    );
    let verbs = [
        &first.filter,
        &first.prioritize,
        &first.preempt,
        &first.bind,
    ];
    assert_eq!(verbs, ["", "p", "e", "b"]);
    assert!(first.is_cache_capable && first.weight == 2 && first.timeout.as_secs() == 5);
    assert_eq!(
        first.managed.iter().collect::<Vec<_>>(),
        ["x.io/gpu", "x.io/nic"]
    );
    assert!(!second.tls.insecure && second.tls.server_name.as_deref() == Some("c.x"));
    assert!(third.is_ignorable && third.tls.insecure && third.timeout.as_millis() == 100);
    // What it looks after alone no filter does.
    let pod = crate::kit::info(
        "a",
        crate::kit::requests(serde_json::json!({ "x.io/gpu": "1" })),
    );
    let nodes = crate::kit::cluster([crate::kit::node("n", serde_json::json!({}))]);
    let decided = crate::decide::decide(&config.profiles[0].table, &pod, nodes.snapshot(), 0);
    assert!(
        matches!(decided, crate::decide::Decision::Bind { .. }),
        "{decided:?}"
    );
    // Shown, but for the key.
    let shown = config.extras["extenders"].to_string();
    assert!(
        shown.contains("certData") && !shown.contains("keyData"),
        "{shown}"
    );
}

#[test]
fn what_is_wrong_with_an_extender_is_named() {
    let wrong = |text: &str| read(&format!("extenders: [{text}]")).unwrap_err();
    for (text, said) in [
        (
            "{ filterVerb: f }",
            "extenders[0]: missing field `urlPrefix`",
        ),
        (
            "{ urlPrefix: 'ftp://a' }",
            "extenders[0].urlPrefix: \"ftp://a\" is not a URL like http://10.0.0.1:8888/x",
        ),
        (
            "{ urlPrefix: 'http://a', prioritizeVerb: p }",
            "extenders[0].weight: 0 is not greater than 0",
        ),
        (
            "{ urlPrefix: 'http://a', httpTimeout: soon }",
            "extenders[0].httpTimeout: expected a duration like 15s, 1m30s or 500ms",
        ),
        (
            "{ urlPrefix: 'http://a', managedResources: [{ name: cpu }] }",
            "extenders[0].managedResources[0].name: \"cpu\" is no name of an extended resource",
        ),
        (
            "{ urlPrefix: 'http://a', managedResources: [{ name: x.io/a }, { name: x.io/a }] }",
            "extenders[0].managedResources[1].name: \"x.io/a\" is there twice",
        ),
        (
            "{ urlPrefix: 'http://a', bindVerb: b }, { urlPrefix: 'http://b', bindVerb: b }",
            "extenders: 2 have a bindVerb, and one can",
        ),
        (
            "{ urlPrefix: 'https://a', tlsConfig: { insecure: true, caFile: f } }",
            "extenders[0].tlsConfig: insecure and an authority exclude each other",
        ),
        (
            "{ urlPrefix: 'https://a', tlsConfig: { certFile: f } }",
            "extenders[0].tlsConfig: a certificate and its key belong together",
        ),
    ] {
        assert_eq!(wrong(text), said, "{text}");
    }
    assert!(wrong("{ urlPrefix: 'http://a', verb: f }").contains("unknown field `verb`"));
}
