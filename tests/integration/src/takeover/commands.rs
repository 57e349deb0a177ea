//! `corten takeover` and `corten handback`, with upstream's programs as static pods that a kubelet runs, and with users who
//! work meanwhile.

use crate::record::Record;
use crate::{ROUND, at_rest, caught_up, fleet, load, provided, say};
use anyhow::{Context, Result, ensure};
use cluster::{Cluster, Namespace, Outcome, StaticPods, eventually};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::ListParams;
use runtime::guard::{PROBE, Standing, State};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const NODES: usize = 4;
const MANAGER: &str = "kube-controller-manager.yaml";
const SCHEDULER: &str = "kube-scheduler.yaml";
/// What stock controllers ours are to replace: all that need no key of their own.
const OURS: &str = "*,-hostpath-provisioner-controller";

/// A control plane as kubeadm makes it, in a folder of its own.
struct Plane<'a> {
    cluster: &'a Cluster,
    program: PathBuf,
    manifests: PathBuf,
}

impl Plane<'_> {
    fn new(cluster: &Cluster) -> Result<Plane<'_>> {
        let manifests = cluster.folder().join("kubernetes/manifests");
        std::fs::create_dir_all(&manifests)?;
        std::fs::create_dir_all(cluster.folder().join("static"))?;
        Ok(Plane {
            cluster,
            program: cluster::program(None)?,
            manifests,
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.manifests.join(name)
    }

    fn text(&self, name: &str) -> Result<String> {
        let file = self.file(name);
        std::fs::read_to_string(&file).with_context(|| file.display().to_string())
    }

    /// Upstream's programs, with the flags that kubeadm gives them, but for addresses.
    fn stock(&self) -> Result<()> {
        let kubeconfig = self.cluster.kubeconfig().display().to_string();
        let key = |name: &str| {
            self.cluster
                .folder()
                .join("pki")
                .join(name)
                .display()
                .to_string()
        };
        let manager = [
            "kube-controller-manager".to_owned(),
            "--allocate-node-cidrs=true".to_owned(),
            "--cluster-cidr=10.128.0.0/9".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/16".to_owned(),
            format!("--cluster-signing-cert-file={}", key("ca.crt")),
            format!("--cluster-signing-key-file={}", key("ca.key")),
            "--controllers=*,bootstrapsigner,tokencleaner".to_owned(),
            format!("--kubeconfig={kubeconfig}"),
            "--leader-elect=true".to_owned(),
            format!("--root-ca-file={}", key("ca.crt")),
            format!("--service-account-private-key-file={}", key("sa.key")),
            "--use-service-account-credentials=true".to_owned(),
            "--secure-port=0".to_owned(),
            // Tests are not to measure its own limits.
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=500".to_owned(),
        ];
        let scheduler = [
            "kube-scheduler".to_owned(),
            format!("--kubeconfig={kubeconfig}"),
            "--leader-elect=true".to_owned(),
            "--secure-port=0".to_owned(),
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=500".to_owned(),
        ];
        self.write(MANAGER, &manager)?;
        self.write(SCHEDULER, &scheduler)
    }

    /// Ours, with the rights that the chart gives them.
    async fn ours(&self) -> Result<()> {
        let parts = registry::upstreams();
        let flags = |command: &str, account: &str, kubeconfig: &Path| {
            [
                self.program.display().to_string(),
                command.to_owned(),
                format!("--kubeconfig={}", kubeconfig.display()),
                "--if-stock-runs=wait".to_owned(),
                format!("--leader-elect-resource-name={account}"),
                format!(
                    "--leader-elect-resource-namespace={}",
                    self.cluster.accounts()
                ),
                "--secure-port=0".to_owned(),
            ]
        };
        let kubeconfig = self.cluster.account("controllers", &parts).await?;
        let mut words = flags("controllers", "controllers", &kubeconfig).to_vec();
        words.push(format!("--controllers={OURS}"));
        self.write("corten-controllers.yaml", &words)?;
        let kubeconfig = self.cluster.account("scheduler", &["scheduler"]).await?;
        self.write(
            "corten-scheduler.yaml",
            &flags("scheduler", "scheduler", &kubeconfig),
        )
    }

    fn write(&self, name: &str, words: &[String]) -> Result<()> {
        let list: Vec<String> = words.iter().map(|word| format!("    - {word}\n")).collect();
        let list = list.concat();
        let pod = name.trim_end_matches(".yaml");
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {pod}\n  namespace: kube-system\nspec:\n  containers:\n  \
             - command:\n{list}    image: none\n    name: {pod}\n  hostNetwork: true\nstatus: {{}}\n"
        );
        Ok(std::fs::write(self.file(name), text)?)
    }

    /// The exit code of `corten …` and what it prints. It does not hold up who works meanwhile.
    async fn corten(&self, words: &[&str]) -> Result<(i32, String)> {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            .arg("--kubeconfig")
            .arg(self.cluster.kubeconfig());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let text = String::from_utf8([output.stdout, output.stderr].concat())?;
        Ok((output.status.code().context("it was killed")?, text))
    }

    async fn hand_over(&self, command: &str, more: &[&str]) -> Result<String> {
        let manifests = self.manifests.display().to_string();
        let mut words = vec![command, "--timeout=2m", "--manifests", &manifests];
        words.extend(more);
        let (code, text) = self.corten(&words).await?;
        ensure!(code == 0, "{command}: {code}: {text}");
        Ok(text)
    }

    /// What our processes say of themselves.
    async fn standing(&self, ns: &Namespace, account: &str) -> Result<Standing> {
        let leases: Api<Lease> = Api::namespaced(ns.client(), self.cluster.accounts());
        let lease = leases.get(account).await?;
        Standing::on(&lease).with_context(|| format!("{account} says nothing"))
    }

    async fn until_ours(&self, ns: &Namespace, state: State) -> Result<()> {
        eventually(&format!("ours: {state:?}"), async || {
            for account in ["controllers", "scheduler"] {
                let standing = self.standing(ns, account).await?;
                ensure!(standing.state == state, "{account}: {standing:?}");
            }
            Ok(())
        })
        .await
    }
}

#[test]
fn the_work_is_taken_over_and_handed_back_while_users_go_on() -> Outcome {
    let cluster = Cluster::without_loops(NODES)?;
    let plane = Plane::new(&cluster)?;
    plane.stock()?;
    let kubelet = StaticPods::run(&plane.manifests, &cluster.folder().join("static"))?;
    let until_served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    until_served.map_err(anyhow::Error::from)?.block_on(async {
        let accounts: Api<ServiceAccount> = Api::default_namespaced(cluster.client()?);
        eventually("the stock controllers work", async || {
            Ok(accounts.get("default").await.map(drop)?)
        })
        .await
    })?;
    let outcome = cluster.with_namespace("handed", async |ns| {
        provided(&ns, Box::pin(story(&plane, &ns))).await
    });
    if outcome.is_err() {
        for name in [
            "corten-controllers",
            "corten-scheduler",
            "kube-controller-manager",
        ] {
            let log = cluster.folder().join("static").join(format!("{name}.log"));
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            eprintln!(
                "--- {name}\n{}",
                lines[lines.len().saturating_sub(30)..].join("\n")
            );
        }
    }
    drop(kubelet);
    outcome
}

async fn story(plane: &Plane<'_>, ns: &Namespace) -> Result<()> {
    let begun = Instant::now();
    // One of each kind and state.
    let fleet = fleet::fleet().into_iter();
    let one = |object: &serde_json::Value| {
        let name = object["metadata"]["name"].as_str();
        name.is_some_and(|name| name.ends_with("-0"))
    };
    let texts: Vec<String> = fleet.filter(one).map(|object| object.to_string()).collect();
    let applied = stream::iter(&texts)
        .map(|text| ns.apply(text))
        .buffer_unordered(8);
    applied.try_collect::<Vec<_>>().await?;
    caught_up(ns).await?;
    refused(plane).await.context("beside the stock programs")?;
    nothing_is_changed_by_what_is_wrong(plane).await?;
    plane.ours().await?;
    plane.until_ours(ns, State::Waits).await?;
    at_rest(plane.cluster, ns)
        .await
        .context("before it is handed over")?;
    load::set_out(ns).await?;
    say(begun, "made");

    let (before, originals) = (
        untouched(ns).await?,
        [plane.text(MANAGER)?, plane.text(SCHEDULER)?],
    );
    let said = plane.hand_over("takeover", &["--dry-run"]).await?;
    ensure!(
        said.contains("+    - --controllers=*,bootstrapsigner,tokencleaner,-"),
        "{said}"
    );
    ensure!(
        originals == [plane.text(MANAGER)?, plane.text(SCHEDULER)?],
        "--dry-run changes them"
    );
    let said = meanwhile(ns, 0, plane.hand_over("takeover", &[]))
        .await
        .context("takeover")?;
    println!("{said}");
    say(begun, "taken over");
    for account in ["controllers", "scheduler"] {
        let standing = plane.standing(ns, account).await?;
        ensure!(standing.state == State::Works, "{standing:?}");
    }
    let taken = plane.text(MANAGER)?;
    let line = "    - --controllers=*,bootstrapsigner,tokencleaner\n";
    let changed: Vec<_> = taken
        .lines()
        .filter(|line| !originals[0].contains(line))
        .collect();
    ensure!(
        changed.len() == 1 && originals[0].contains(line),
        "{changed:?}"
    );
    for kept in [
        "service-account-private-key-file",
        ",bootstrapsigner,tokencleaner,-",
    ] {
        ensure!(taken.contains(kept), "{kept}: {taken}");
    }
    for left in [
        "serviceaccount-token-controller",
        "node-ipam-controller",
        "attach-detach",
    ] {
        ensure!(!changed[0].contains(left), "{left} is nobody's: {taken}");
    }
    ensure!(!plane.file(SCHEDULER).exists(), "the scheduler is there");
    let again = plane.hand_over("takeover", &[]).await?;
    ensure!(
        again.contains("as they have to be") && plane.text(MANAGER)? == taken,
        "{again}"
    );
    settled(ns, &before).await.context("taken over")?;
    at_rest(plane.cluster, ns).await.context("taken over")?;
    say(begun, "gone on");

    let said = meanwhile(ns, 1000, plane.hand_over("handback", &[]))
        .await
        .context("handback")?;
    println!("{said}");
    say(begun, "handed back");
    ensure!(
        originals == [plane.text(MANAGER)?, plane.text(SCHEDULER)?],
        "they are not as they were"
    );
    plane.until_ours(ns, State::StandsBy).await?;
    settled(ns, &before).await.context("handed back")?;
    at_rest(plane.cluster, ns).await.context("handed back")?;

    // Who gives the stock one its flags back by hand, without a word to ours, is not left with two.
    plane
        .hand_over("takeover", &["--only=controllers"])
        .await
        .context("once more")?;
    ensure!(plane.file(SCHEDULER).exists(), "the scheduler was to stay");
    std::fs::write(plane.file(MANAGER), &originals[0])?;
    eventually("ours see the stock one and end", async || {
        let standing = plane.standing(ns, "controllers").await?;
        let sees = standing.state == State::Waits && !standing.stock_at_work.is_empty();
        ensure!(sees, "{standing:?}");
        Ok(())
    })
    .await?;
    say(begun, "left to the stock one");
    let left = Api::<ReplicaSet>::all(ns.client())
        .list(&ListParams::default().labels(PROBE))
        .await?;
    ensure!(
        left.items.is_empty(),
        "{} probes are left",
        left.items.len()
    );
    let rights = plane.cluster.rights()?;
    ensure!(
        rights.forbidden.is_empty(),
        "refused:\n{}",
        rights.forbidden.join("\n")
    );
    Ok(())
}

/// Runs a command while users work, and a bit longer.
async fn meanwhile(
    ns: &Namespace,
    since: usize,
    command: impl Future<Output = Result<String>>,
) -> Result<String> {
    let command = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let said = command.await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(said)
    };
    let never = "users work for ever";
    tokio::select! {
        failed = load::churn(ns, since) => { failed.context("a user")?; anyhow::bail!(never) }
        failed = load::bounds(ns) => { failed.context("out of bounds")?; anyhow::bail!(never) }
        said = command => said,
    }
}

/// All that users do not touch.
async fn untouched(ns: &Namespace) -> Result<Record> {
    let mut record = Record::of(ns).await?;
    record
        .0
        .retain(|(_, name), _| !name.starts_with(load::BUSY));
    Ok(record)
}

/// Waits until all that users wanted is done, and sees that nothing else has changed.
async fn settled(ns: &Namespace, before: &Record) -> Result<()> {
    eventually("what users wanted is done", async || {
        let missing = load::unfinished(ns).await?;
        ensure!(missing.is_empty(), "{}", missing.join("; "));
        Ok(())
    })
    .await?;
    let differences = before.differences(&untouched(ns).await?);
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

/// Beside the stock programs ours refuse to begin, if they are not told to wait.
async fn refused(plane: &Plane<'_>) -> Result<()> {
    let lease = ["--leader-elect-resource-name=refused", "--secure-port=0"];
    let run = async |command: &'static str| {
        let words = [&[command][..], &lease].concat();
        tokio::time::timeout(3 * ROUND, plane.corten(&words)).await?
    };
    let (code, said) = run("controllers").await?;
    for word in [
        "kube-controller-manager (",
        "deployment-controller",
        "job-controller",
        "corten takeover",
        "-replicaset-controller",
    ] {
        ensure!(code == 1 && said.contains(word), "{code}: {word}: {said}");
    }
    let (code, said) = run("scheduler").await?;
    ensure!(
        code == 1 && said.contains("serves pods of default-scheduler too"),
        "{code}: {said}"
    );
    Ok(())
}

/// What makes no sense is told, and nothing is changed by it.
async fn nothing_is_changed_by_what_is_wrong(plane: &Plane<'_>) -> Result<()> {
    let manifests = plane.manifests.display().to_string();
    let cases: [(&[&str], i32, &str); 6] = [
        (&["takeover", "--manifests=/nowhere/at/all"], 2, "--by-hand"),
        (
            &[
                "takeover",
                "--manifests",
                &manifests,
                "--backup",
                &manifests,
            ],
            2,
            "--backup",
        ),
        (
            &["takeover", "--manifests", &manifests, "--timeout=soon"],
            2,
            "--timeout",
        ),
        (&["takeover", "--by-hand", "--kind=x"], 2, "--kind"),
        (
            &["takeover", "--manifests", &manifests],
            1,
            "no process of Corten is there",
        ),
        (
            &["handback", "--manifests", &manifests],
            1,
            "nothing to give back",
        ),
    ];
    let before = [plane.text(MANAGER)?, plane.text(SCHEDULER)?];
    for (words, code, said) in cases {
        let (found, text) = plane.corten(words).await?;
        ensure!(
            found == code && text.contains(said),
            "{words:?}: {found}: {text}"
        );
    }
    ensure!(
        before == [plane.text(MANAGER)?, plane.text(SCHEDULER)?],
        "they are changed"
    );
    let files = std::fs::read_dir(&plane.manifests)?.count();
    ensure!(files == 2, "{files} manifests");
    Ok(())
}
