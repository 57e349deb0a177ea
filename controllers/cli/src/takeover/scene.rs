//! Who holds which Lease, and what follows for a hand-over. Pure but for [`Watcher`], which reads the Leases.

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use objects::pod::DEFAULT_SCHEDULER;
use runtime::Clock;
use runtime::guard::{self, Beat, HAND_OVER, HandOver, Pulse, STOCK_NAMESPACE, Standing, State};
use runtime::lease::{holder, is_ours};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

pub(super) const MANAGER: &str = "kube-controller-manager";
pub(super) const SCHEDULER: &str = "kube-scheduler";

/// A process of ours that holds a Lease and says how it stands.
#[derive(Clone, Debug)]
pub(super) struct Ours {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) life: Beat,
    pub(super) standing: Standing,
}

/// All who matter, at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    pub(super) ours: Vec<Ours>,
    /// Who of the stock programs holds its Lease, by the program's name.
    pub(super) stock: BTreeMap<&'static str, (String, Beat)>,
}

/// What of the stock programs' work changes hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) controllers: bool,
    pub(super) scheduler: bool,
}

impl Ours {
    fn has(&self, parts: Parts) -> bool {
        parts.controllers && !self.standing.controllers.is_empty()
            || parts.scheduler && self.schedules()
    }

    /// Whether it has what kube-scheduler has.
    pub(super) fn schedules(&self) -> bool {
        let mut names = self.standing.scheduler_names.iter();
        names.any(|name| name == DEFAULT_SCHEDULER)
    }

    fn stock(&self) -> &'static str {
        match self.standing.controllers.is_empty() {
            true => SCHEDULER,
            false => MANAGER,
        }
    }

    fn lease(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Scene {
    /// Those of ours that take part, as far as they live for all that is known.
    pub(super) fn ours(&self, parts: Parts) -> impl Iterator<Item = &Ours> {
        let lives = move |one: &&Ours| one.life != Beat::Dead && one.has(parts);
        self.ours.iter().filter(lives)
    }

    /// The controllers that they have.
    pub(super) fn controllers(&self) -> Vec<String> {
        let all = self.ours.iter().filter(|one| one.life != Beat::Dead);
        let names: BTreeSet<&String> = all.flat_map(|one| &one.standing.controllers).collect();
        names.into_iter().cloned().collect()
    }

    /// Of whom it is not known whether he lives.
    pub(super) fn unknown(&self, parts: Parts) -> Vec<String> {
        let ours = self.ours(parts).filter(|one| one.life == Beat::Unknown);
        ours.map(|one| format!("is {} renewed?", one.lease()))
            .collect()
    }

    /// What is missing until ours have taken over; with `back`, kube-controller-manager has to be there again, with
    /// what ours leave to it.
    pub(super) fn until_taken(&self, parts: Parts, back: bool) -> Vec<String> {
        let mut missing = Vec::new();
        for one in self.ours(parts) {
            let (lease, stock) = (one.lease(), one.stock());
            let other = self
                .stock
                .get(stock)
                .filter(|(_, life)| *life != Beat::Dead);
            let by = other.map_or("", |(by, _)| by);
            match one.standing.state {
                State::Checks => missing.push(format!("{lease} looks at what {stock} ({by}) does")),
                State::StandsBy => missing.push(format!("{lease} stands by")),
                State::Waits if by.is_empty() || one.standing.stock_at_work.is_empty() => {
                    missing.push(format!("{lease} waits until {stock} is gone"));
                }
                State::Waits => {
                    let at = one.standing.stock_at_work.join(", ");
                    missing.push(format!("{lease} waits: {stock} ({by}) is at work as {at}"));
                }
                State::Works => match other {
                    None if stock == MANAGER && back => {
                        missing.push(format!("{lease} works; {stock} is not back yet"));
                    }
                    Some((by, _)) if one.standing.beside.as_ref() != Some(by) => {
                        missing.push(format!(
                            "{lease} works; {stock} ({by}) has not been looked at"
                        ));
                    }
                    _ => {}
                },
            }
        }
        if self.ours(parts).next().is_none() {
            missing.push("no process of Corten that takes part runs any more".to_owned());
        }
        missing
    }

    /// What is missing until none of ours works.
    pub(super) fn until_idle(&self, parts: Parts) -> Vec<String> {
        let busy = self
            .ours(parts)
            .filter(|one| one.standing.state != State::StandsBy);
        busy.map(|one| format!("{} has not ended its work", one.lease()))
            .collect()
    }

    /// What is missing until the stock programs work again; kube-controller-manager by another process than that of
    /// `before`, which has its flags from then.
    pub(super) fn until_returned(&self, parts: Parts, before: Option<&str>) -> Vec<String> {
        let wanted = [(MANAGER, parts.controllers), (SCHEDULER, parts.scheduler)];
        let mut missing = Vec::new();
        for (stock, _) in wanted.iter().filter(|(_, wanted)| *wanted) {
            match self.stock.get(stock) {
                Some((by, _)) if *stock == MANAGER && before == Some(by) => {
                    missing.push(format!("{stock} ({by}) has not been started again yet"));
                }
                Some((_, Beat::Alive)) => {}
                _ => missing.push(format!("{stock} does not lead yet")),
            }
        }
        let sees = |one: &&Ours| {
            let mut names = one.standing.controllers.iter();
            names.any(|name| guard::probed(name).is_some())
        };
        for one in self.ours(parts).filter(sees) {
            if one.standing.stock_at_work.is_empty() {
                missing.push(format!(
                    "{} does not see {MANAGER} at work yet",
                    one.lease()
                ));
            }
        }
        missing
    }
}

/// Reads the Leases again and again, and so knows who lives.
pub(super) struct Watcher {
    client: Client,
    clock: Clock,
    /// What has been seen of each.
    seen: BTreeMap<(String, String), Pulse>,
}

impl Watcher {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            clock: Clock::system(),
            seen: BTreeMap::new(),
        }
    }

    /// How it is now.
    pub(super) async fn look(&mut self) -> Result<Scene> {
        let all = Api::<Lease>::all(self.client.clone());
        // Thousands are the nodes'.
        let others = ListParams::default().fields("metadata.namespace!=kube-node-lease");
        let list = all.list(&others).await.context("list Leases")?;
        let mut scene = Scene::default();
        for lease in &list {
            let (namespace, name, by) = (
                lease.namespace().unwrap_or_default(),
                lease.name_any(),
                holder(lease),
            );
            let life = self.life(&namespace, &name, lease);
            if let Some(standing) = Standing::on(lease) {
                scene.ours.push(Ours {
                    namespace,
                    name,
                    life,
                    standing,
                });
            } else if namespace == STOCK_NAMESPACE && !by.is_empty() && !is_ours(by) {
                let known = [MANAGER, SCHEDULER]
                    .into_iter()
                    .find(|stock| *stock == name);
                if let Some(stock) = known {
                    scene.stock.insert(stock, (by.to_owned(), life));
                }
            }
        }
        Ok(scene)
    }

    fn life(&mut self, namespace: &str, name: &str, lease: &Lease) -> Beat {
        let key = (namespace.to_owned(), name.to_owned());
        let pulse = self.seen.entry(key).or_default();
        pulse.feel(lease, self.clock.now(), Instant::now())
    }

    /// Asks those that take part for something, or for nothing any more.
    pub(super) async fn ask(
        &self,
        scene: &Scene,
        parts: Parts,
        what: Option<HandOver>,
    ) -> Result<()> {
        for one in scene.ours(parts) {
            let leases: Api<Lease> = Api::namespaced(self.client.clone(), &one.namespace);
            let note =
                json!({ "metadata": { "annotations": { HAND_OVER: what.map(HandOver::word) } } });
            let params = PatchParams::default();
            let patched = leases.patch(&one.name, &params, &Patch::Merge(&note)).await;
            patched.with_context(|| format!("annotate the Lease {}", one.lease()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{MANAGER, Ours, Parts, SCHEDULER, Scene};
    use runtime::guard::{Beat, Standing, State};

    const ALL: Parts = Parts {
        controllers: true,
        scheduler: true,
    };

    /// Controllers and a scheduler of ours, in this state and beside this stock process; `stock` leads, if somebody does.
    fn scene(state: State, beside: &str, stock: &str) -> Scene {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let one = |name: &str, controllers: &[&str], names: &[&str]| Ours {
            namespace: "ns".to_owned(),
            name: name.to_owned(),
            life: Beat::Alive,
            standing: Standing {
                by: "x".to_owned(),
                state,
                controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
                scheduler_names: names.iter().map(|name| (*name).to_owned()).collect(),
                beside: some(beside),
                stock_at_work: Vec::new(),
            },
        };
        let leads = some(stock).map(|by| (MANAGER, (by, Beat::Alive)));
        Scene {
            ours: vec![
                one("controllers", &["job-controller"], &[]),
                one("scheduler", &[], &["default-scheduler"]),
                one("other", &[], &["corten"]),
            ],
            stock: leads.into_iter().collect(),
        }
    }

    #[test]
    fn it_is_taken_when_ours_work_beside_the_stock_process_that_leads_now() {
        assert!(
            scene(State::Works, "cp_2", "cp_2")
                .until_taken(ALL, true)
                .is_empty()
        );
        for (scene, expected) in [
            (
                scene(State::Works, "cp_1", "cp_2"),
                "has not been looked at",
            ),
            (scene(State::Works, "", ""), "is not back yet"),
            (
                scene(State::Checks, "", "cp_2"),
                "looks at what kube-controller-manager (cp_2) does",
            ),
            (scene(State::Waits, "", "cp_1"), "waits until"),
            (scene(State::StandsBy, "", "cp_1"), "stands by"),
            (Scene::default(), "no process of Corten"),
        ] {
            let missing = scene.until_taken(ALL, true).join("\n");
            assert!(missing.contains(expected), "{missing}");
        }
        // Where somebody else takes it out for good it need not come back.
        assert!(
            scene(State::Works, "", "")
                .until_taken(ALL, false)
                .is_empty()
        );
        let mut both = scene(State::Works, "cp_2", "cp_2");
        both.stock
            .insert(SCHEDULER, ("cp_3".to_owned(), Beat::Alive));
        assert_eq!(both.until_taken(ALL, true).len(), 1);
    }

    #[test]
    fn only_those_that_take_part_and_live_are_waited_for() {
        let mut scene = scene(State::Works, "", "");
        assert_eq!(
            scene.until_idle(ALL).len(),
            2,
            "the scheduler of another name goes on"
        );
        scene.ours[0].life = Beat::Dead;
        assert_eq!(scene.until_idle(ALL).len(), 1);
        scene.ours[1].standing.state = State::StandsBy;
        assert!(scene.until_idle(ALL).is_empty());
        scene.ours[1].life = Beat::Unknown;
        assert_eq!(scene.unknown(ALL), ["is ns/scheduler renewed?"]);
        assert!(
            scene.controllers().is_empty(),
            "of those that are dead nothing is known"
        );
    }

    #[test]
    fn it_is_returned_when_the_stock_programs_lead_and_ours_see_them_at_work() {
        let mut scene = scene(State::StandsBy, "", "cp_2");
        let missing = scene.until_returned(ALL, None);
        let expected = [
            "kube-scheduler does not lead yet",
            "ns/controllers does not see",
        ];
        assert_eq!(missing.len(), 2, "{missing:?}");
        for (missing, expected) in missing.iter().zip(expected) {
            assert!(missing.starts_with(expected), "{missing}");
        }
        scene
            .stock
            .insert(SCHEDULER, ("cp_3".to_owned(), Beat::Alive));
        scene.ours[0].standing.stock_at_work = vec!["job-controller".to_owned()];
        assert!(scene.until_returned(ALL, None).is_empty());
        let missing = scene.until_returned(ALL, Some("cp_2"));
        assert!(missing.concat().contains("started again"), "{missing:?}");
        // One that leaves no sign cannot be waited for.
        scene.ours[0].standing.stock_at_work.clear();
        scene.ours[0].standing.controllers = vec!["ttl-controller".to_owned()];
        assert!(scene.until_returned(ALL, None).is_empty());
    }
}
