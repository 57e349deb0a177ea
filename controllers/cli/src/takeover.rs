//! `corten takeover` and `corten handback`: the stock programs' work changes hands, while it goes on.
//!
//! ```text
//! takeover                                        handback
//!   ours wait for the stock programs (guard)        ours are asked to end, and stand by
//!   kube-controller-manager.yaml leaves them out    the manifests are as they were
//!   kube-scheduler.yaml is moved away               the stock programs lead and work
//!   ours begin when the stock process is gone
//!   it comes back with the rest of its work
//! ```
//!
//! At no time both work: ours begin after the Lease of the stock process was given up or ran out, and end before it is
//! given its work back. In between nobody does, for as long as a restart of the stock program takes. Loops are
//! level-triggered; nothing is lost in it.
//!
//! Where the manifests are is `place`; what is changed in them `manifest` and `flag`; who is waited for `scene`. On a
//! control plane of several nodes each is changed in turn; ours begin with the last.

mod flag;
mod manifest;
mod place;
mod scene;

use crate::commands::{HandOverArgs, Only};
use crate::progress::words;
use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ListParams};
use manifest::Edit;
use place::Place;
use runtime::args;
use runtime::guard::{Beat, HandOver};
use runtime::serve::Misuse;
use scene::{MANAGER, Parts, SCHEDULER, Scene, Watcher};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Between two looks at the Leases.
const AGAIN: Duration = Duration::from_millis(500);
/// The minor version from which on kube-controller-manager has all names that are switched off.
const MINOR: u32 = 36;
const MANAGER_FILE: &str = "kube-controller-manager.yaml";
const SCHEDULER_FILE: &str = "kube-scheduler.yaml";
/// What a takeover has made of a manifest, beside what it was.
const TAKEN: &str = "kube-controller-manager.yaml.taken";

/// `corten takeover`
pub(crate) async fn take(args: HandOverArgs) -> Result<ExitCode> {
    let (place, client) = (place_of(&args)?, client(&args, "corten-takeover").await?);
    let mut watcher = Watcher::new(client.clone());
    let scene = ready(&mut watcher, &args).await?;
    let parts = parts(&args, &scene);
    let controllers = scene.controllers();
    if args.by_hand {
        by_hand(parts, &controllers);
        if !args.dry_run {
            watcher.ask(&scene, parts, Some(HandOver::Take)).await?;
            taken(&mut watcher, parts, false, &args).await?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    known(&client).await?;

    // All is looked at before anything is changed.
    let edit = match parts.controllers {
        true => {
            let file = place.manifest(MANAGER_FILE);
            let text = place.read(&file).await?;
            let text = text.with_context(|| absent(&place, MANAGER_FILE))?;
            let left = manifest::leave(&text, &controllers);
            left.with_context(|| place.show(&file))?
        }
        false => None,
    };
    let (file, kept) = (place.manifest(SCHEDULER_FILE), place.kept(SCHEDULER_FILE));
    let moves = parts.scheduler && place.read(&file).await?.is_some();
    if moves && place.read(&kept).await?.is_some() {
        bail!(
            "{} and {} are both there: remove the older one",
            place.show(&file),
            place.show(&kept)
        );
    }
    show(&place, edit.as_ref(), moves.then_some((&*file, &*kept)));
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }

    let elsewhere = match parts.controllers {
        true => elsewhere(&client, &place, &controllers).await?,
        false => Vec::new(),
    };
    if elsewhere.is_empty() {
        watcher.ask(&scene, parts, Some(HandOver::Take)).await?;
    }
    if let Some(edit) = &edit {
        change(&place, edit).await?;
    }
    if moves {
        place.rename(&file, &kept).await?;
    }
    if !elsewhere.is_empty() {
        println!(
            "{MANAGER} runs on {} too: run this there; Corten begins with the last",
            elsewhere.join(", ")
        );
        return Ok(ExitCode::SUCCESS);
    }
    taken(&mut watcher, parts, true, &args).await?;
    Ok(ExitCode::SUCCESS)
}

/// `corten handback`
pub(crate) async fn give_back(args: HandOverArgs) -> Result<ExitCode> {
    let (place, client) = (place_of(&args)?, client(&args, "corten-handback").await?);
    let mut watcher = Watcher::new(client);
    let only = |part: Only| args.only.is_none_or(|only| only == part);
    let mut parts = Parts {
        controllers: only(Only::Controllers),
        scheduler: only(Only::Scheduler),
    };
    // All is looked at before anything is changed.
    let (mut edit, mut moves) = (None, false);
    let (file, kept) = (place.manifest(SCHEDULER_FILE), place.kept(SCHEDULER_FILE));
    if !args.by_hand {
        let is_kept = place.read(&place.kept(MANAGER_FILE)).await?.is_some();
        parts.controllers &= is_kept;
        moves = parts.scheduler && place.read(&kept).await?.is_some();
        parts.scheduler &= moves;
        if !parts.controllers && !parts.scheduler {
            bail!(
                "{} has nothing to give back; where the stock programs were told by hand to let go, use --by-hand",
                place.show(&place.backup)
            );
        }
        if parts.controllers {
            edit = undo(&place).await?;
        }
        ensure!(
            !moves || place.read(&file).await?.is_none(),
            "{} and {} are both there: remove the older one",
            place.show(&file),
            place.show(&kept)
        );
        show(&place, edit.as_ref(), moves.then_some((&*kept, &*file)));
    }
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let begun = Instant::now();
    let scene = watcher.look().await?;
    watcher.ask(&scene, parts, Some(HandOver::Back)).await?;
    let idle = until(&mut watcher, &args, begun, |scene| {
        let mut missing = scene.unknown(parts);
        missing.extend(scene.until_idle(parts));
        missing
    });
    idle.await
        .context("Corten works still, so nothing has been changed")?;
    println!("✓ Corten stands by after {}", words(begun.elapsed()));
    if args.by_hand {
        println!(
            "set --controllers of {MANAGER} as it was before, and start {SCHEDULER} if you have ended it"
        );
    }
    // By hand it may be done already: then ours have seen it.
    let mut ours = scene.ours(parts);
    let is_seen = ours.any(|one| !one.standing.stock_at_work.is_empty());
    let starts = edit.is_some() || args.by_hand && !is_seen;
    let before = watcher.look().await?.stock.remove(MANAGER);
    let before = before.map(|(by, _)| by).filter(|_| starts);
    if let Some(edit) = &edit {
        place
            .replace(&place.manifest(MANAGER_FILE), &edit.text)
            .await?;
    }
    if parts.controllers && !args.by_hand {
        place.remove(&place.kept(TAKEN)).await?;
        place.remove(&place.kept(MANAGER_FILE)).await?;
    }
    if moves {
        place.rename(&kept, &file).await?;
    }
    let returned = until(&mut watcher, &args, begun, |scene| {
        scene.until_returned(parts, before.as_deref())
    });
    let advice = "Corten stands by, and nobody works until the stock programs do: look at their pods \
                  (kubectl -n kube-system get pods) and at the kubelet's log; `corten takeover` goes back to Corten";
    returned.await.context(advice)?;
    println!(
        "✓ the stock programs work again after {}; Corten stands by, and can be uninstalled",
        words(begun.elapsed())
    );
    Ok(ExitCode::SUCCESS)
}

/// Changes kube-controller-manager's manifest, and keeps what it was and what it is.
async fn change(place: &Place, edit: &Edit) -> Result<()> {
    let file = place.manifest(MANAGER_FILE);
    let (kept, taken) = (place.kept(MANAGER_FILE), place.kept(TAKEN));
    let now = place.read(&file).await?.unwrap_or_default();
    let before = (place.read(&taken).await?, place.read(&kept).await?);
    let original = manifest::original(&now, before.0.as_deref(), before.1.as_deref());
    place.keep(&file, &kept).await?;
    if original != now {
        place.replace(&kept, &original).await?;
    }
    place.replace(&file, &edit.text).await?;
    place.keep(&file, &taken).await
}

/// What makes the manifest what it was: exactly, if nobody has changed it since.
async fn undo(place: &Place) -> Result<Option<Edit>> {
    let file = place.manifest(MANAGER_FILE);
    let now = place
        .read(&file)
        .await?
        .with_context(|| absent(place, MANAGER_FILE))?;
    let original = place
        .read(&place.kept(MANAGER_FILE))
        .await?
        .unwrap_or_default();
    let taken = place.read(&place.kept(TAKEN)).await?;
    // Without it, the takeover was ended in the middle, before or after it changed the manifest.
    let taken = taken.unwrap_or_else(|| now.clone());
    let edit = manifest::give_back(&now, &taken, &original).with_context(|| place.show(&file))?;
    Ok(edit.map(|edit| match now == taken {
        true => Edit {
            text: original,
            ..edit
        },
        false => edit,
    }))
}

/// Where the manifests are, if what was given makes sense.
fn place_of(args: &HandOverArgs) -> Result<Place> {
    let backup = match (&args.backup, args.manifests.parent()) {
        (Some(backup), _) => backup.clone(),
        (None, Some(parent)) => parent.join("corten-handback"),
        (None, None) => {
            return Err(Misuse("--manifests: / is not a folder of static pods".into()).into());
        }
    };
    let place = Place {
        container: args.kind.clone().map(|node| (args.engine.clone(), node)),
        manifests: args.manifests.clone(),
        backup,
    };
    if place.backup == place.manifests {
        let said = "--backup: the kubelet would run what is kept there; choose another folder than --manifests";
        return Err(Misuse(said.into()).into());
    }
    let here = place.container.is_none() && !args.by_hand;
    if here && !place.manifests.is_dir() {
        let path = place.manifests.display();
        let said = format!(
            "--manifests: there is no folder {path}. Give it, or run this on a node of the control plane; for kind: \
             --kind=kind-control-plane; where the control plane is no static pod: --by-hand says what to set"
        );
        return Err(Misuse(said).into());
    }
    Ok(place)
}

async fn client(args: &HandOverArgs, agent: &str) -> Result<Client> {
    let client = Client::try_from(args::config(&args.server.client(), agent).await?)?;
    args::check_server(&client).await?;
    Ok(client)
}

fn absent(place: &Place, name: &str) -> String {
    format!(
        "there is no {}; where the control plane is no static pod, --by-hand says what to set",
        place.show(&place.manifest(name))
    )
}

/// The processes of ours that are there to take over.
async fn ready(watcher: &mut Watcher, args: &HandOverArgs) -> Result<Scene> {
    let begun = Instant::now();
    let all = Parts {
        controllers: true,
        scheduler: true,
    };
    loop {
        let scene = watcher.look().await?;
        let parts = parts(args, &scene);
        let is_known = scene.unknown(parts).is_empty();
        if is_known && scene.ours(parts).next().is_some() {
            for one in scene.ours(parts) {
                let what = match one.schedules() {
                    true => "the scheduler".to_owned(),
                    false => format!("{} controllers", one.standing.controllers.len()),
                };
                println!("• {what} of Corten: {}/{}", one.namespace, one.name);
            }
            return Ok(scene);
        }
        if is_known && (scene.ours(all).next().is_none() || begun.elapsed() > args.timeout) {
            bail!(
                "no process of Corten is there to take over: install the chart with mode=replace, or run `corten \
                 controllers` (and `corten scheduler`) with --if-stock-runs=wait and \
                 --leader-elect-resource-name=corten-controllers (corten-scheduler)"
            );
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// What changes hands: what there are processes of ours for, if not told otherwise.
fn parts(args: &HandOverArgs, scene: &Scene) -> Parts {
    let only = |part: Only| args.only.is_none_or(|only| only == part);
    let lives = || scene.ours.iter().filter(|one| one.life != Beat::Dead);
    Parts {
        controllers: only(Only::Controllers)
            && lives().any(|one| !one.standing.controllers.is_empty()),
        scheduler: only(Only::Scheduler) && lives().any(scene::Ours::schedules),
    }
}

/// An unknown name ends kube-controller-manager.
async fn known(client: &Client) -> Result<()> {
    let version = client.apiserver_version().await?;
    let digits: String = version
        .minor
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let minor: u32 = digits.parse().unwrap_or(MINOR);
    ensure!(
        minor >= MINOR,
        "the API server is v1.{minor}: its kube-controller-manager may not know all names of v1.{MINOR}, and ends with \
         one that it does not know; set --controllers by hand (--by-hand)"
    );
    Ok(())
}

/// The other nodes on which kube-controller-manager has not been told to leave these alone.
async fn elsewhere(client: &Client, place: &Place, controllers: &[String]) -> Result<Vec<String>> {
    let here = match &place.container {
        Some((_, node)) => node.clone(),
        None => std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default(),
    };
    let pods: Api<Pod> = Api::namespaced(client.clone(), runtime::guard::STOCK_NAMESPACE);
    let all = ListParams::default().labels(&format!("component={MANAGER}"));
    let pods = pods.list(&all).await.context("list pods of kube-system")?;
    let node = |pod: &Pod| {
        pod.spec
            .as_ref()
            .and_then(|spec| spec.node_name.clone())
            .unwrap_or_default()
    };
    let has = |pod: &Pod| {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let mut words = containers.flat_map(|c| c.command.iter().chain(&c.args).flatten());
        let value = words.find_map(|word| word.strip_prefix("--controllers="));
        let value = value.unwrap_or(flag::DEFAULT);
        controllers.iter().any(|name| flag::is_on(value, name))
    };
    let others = pods
        .iter()
        .filter(|pod| node(pod) != here.trim() && has(pod));
    Ok(others.map(node).collect())
}

/// Prints what is changed, as `diff -u` would.
fn show(place: &Place, edit: Option<&Edit>, moves: Option<(&Path, &Path)>) {
    if let Some(Edit { lines, .. }) = edit {
        let file = place.show(&place.manifest(MANAGER_FILE));
        println!("--- {file}\n+++ {file}");
        for (sign, line) in [('-', &lines.0), ('+', &lines.1)] {
            if let Some(line) = line {
                println!("{sign}{line}");
            }
        }
    }
    if let Some((from, to)) = moves {
        println!("rename {} => {}", place.show(from), place.show(to));
    }
    if edit.is_none() && moves.is_none() {
        println!("the manifests are as they have to be");
    }
}

/// Prints what others have to do.
fn by_hand(parts: Parts, controllers: &[String]) {
    if parts.controllers {
        println!(
            "set for {MANAGER}, with what its --controllers says besides:\n  {}",
            runtime::guard::flag(controllers)
        );
    }
    if parts.scheduler {
        println!("end {SCHEDULER}");
    }
}

async fn taken(watcher: &mut Watcher, parts: Parts, back: bool, args: &HandOverArgs) -> Result<()> {
    let begun = Instant::now();
    let taken = until(watcher, args, begun, |scene| scene.until_taken(parts, back));
    let advice = "look at the stock programs' pods (kubectl -n kube-system get pods) and at the kubelet's log; \
                  `corten handback` undoes it";
    let taken = taken.await.context(advice);
    // It was about this stock process. A process of ours that waits for another is to look at what that does.
    let scene = watcher.look().await?;
    watcher.ask(&scene, parts, None).await?;
    taken?;
    println!("✓ Corten works after {}", words(begun.elapsed()));
    Ok(())
}

/// Waits until nothing is missing, and tells what is when that changes.
async fn until(
    watcher: &mut Watcher,
    args: &HandOverArgs,
    begun: Instant,
    missing: impl Fn(&Scene) -> Vec<String>,
) -> Result<()> {
    let mut told = Vec::new();
    loop {
        let now = match watcher.look().await {
            Ok(scene) => missing(&scene),
            // The API server's own restart, for instance.
            Err(error) => vec![format!("{error:#}")],
        };
        if now.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > args.timeout {
            bail!("after {}: {}", words(args.timeout), now.join("; "));
        }
        for line in now.iter().filter(|line| !told.contains(*line)) {
            println!("  {line}");
        }
        told = now;
        tokio::time::sleep(AGAIN).await;
    }
}
