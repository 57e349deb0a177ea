//! The table of the tests that are run, by their exact names, and of their neighbours that are not.
//!
//! The names are those that `e2e.test --list-tests` prints at Kubernetes v1.36.3. What a test needs was read
//! from `test/e2e` there.

/// Tests that are run together.
#[derive(Debug)]
pub(crate) struct Set {
    /// For `--set`.
    pub(crate) name: &'static str,
    /// Tests that need no more than pods that run.
    pub(crate) tests: &'static [&'static str],
    /// Tests of the same kinds that need more, and what.
    pub(crate) left_out: &'static [(&'static str, &'static str)],
}

const HTTP: &str = "asks its pods over HTTP: real containers";
const RESUMED: &str = "lets its pods become ready by exec: real containers";
const CLOUD: &str = "is for the classes of some clouds only";
const NFS: &str = "runs an NFS server: real containers";
const EXEC: &str = "runs commands in its pods: real containers";
const PROBES: &str = "makes its pods unready by a probe: real containers";
const BOOTSTRAP: &str =
    "needs the bootstrap controllers, which are off as upstream's, and what kubeadm makes";
const TRAFFIC: &str = "sends traffic to a Service: real containers and a proxy";
const ZONES: &str = "needs nodes in several zones";
const ALPHA: &str = "alpha, off by default";

/// All sets.
pub(crate) const SETS: &[Set] = &[
    Set {
        name: "apps",
        tests: &[
            "[sig-apps] ControllerRevision [Serial] should manage the lifecycle of a ControllerRevision [Conformance]",
            "[sig-apps] Daemon set [Serial] should list and delete a collection of DaemonSets [Conformance]",
            "[sig-apps] Daemon set [Serial] should retry creating failed daemon pods [Conformance]",
            "[sig-apps] Daemon set [Serial] should rollback without unnecessary restarts [Conformance]",
            "[sig-apps] Daemon set [Serial] should run and stop complex daemon [Conformance]",
            "[sig-apps] Daemon set [Serial] should run and stop simple daemon [Conformance]",
            "[sig-apps] Daemon set [Serial] should update pod when spec was updated and update strategy is RollingUpdate [Conformance]",
            "[sig-apps] Daemon set [Serial] should verify changes to a daemon set status [Conformance]",
            "[sig-apps] Deployment Deployment should have a working scale subresource [Conformance]",
            "[sig-apps] Deployment RecreateDeployment should delete old pods and create new ones [Conformance]",
            "[sig-apps] Deployment RollingUpdateDeployment should delete old pods and create new ones [Conformance]",
            "[sig-apps] Deployment deployment should delete old replica sets [Conformance]",
            "[sig-apps] Deployment deployment should support proportional scaling [Conformance]",
            "[sig-apps] Deployment deployment should support rollover [Conformance]",
            "[sig-apps] Deployment iterative rollouts should eventually progress",
            "[sig-apps] Deployment deployment reaping should cascade to its replica sets and pods",
            "[sig-apps] Deployment should run the lifecycle of a Deployment [Conformance]",
            "[sig-apps] Deployment should validate Deployment Status endpoints [Conformance]",
            "[sig-apps] Deployment test Deployment ReplicaSet orphaning and adoption regarding controllerRef",
            "[sig-apps] DisruptionController evictions: enough pods, absolute => should allow an eviction",
            "[sig-apps] DisruptionController evictions: enough pods, replicaSet, percentage => should allow an eviction",
            "[sig-apps] DisruptionController evictions: maxUnavailable allow single eviction, percentage => should allow an eviction",
            "[sig-apps] DisruptionController evictions: maxUnavailable deny evictions, integer => should not allow an eviction [Serial]",
            "[sig-apps] DisruptionController evictions: no PDB => should allow an eviction",
            "[sig-apps] DisruptionController evictions: too few pods, absolute => should not allow an eviction",
            "[sig-apps] DisruptionController evictions: too few pods, replicaSet, percentage => should not allow an eviction [Serial]",
            "[sig-apps] DisruptionController Listing PodDisruptionBudgets for all namespaces should list and delete a collection of PodDisruptionBudgets [Conformance]",
            "[sig-apps] DisruptionController should block an eviction until the PDB is updated to allow it [Conformance]",
            "[sig-apps] DisruptionController should create a PodDisruptionBudget [Conformance]",
            "[sig-apps] DisruptionController should evict ready pods with AlwaysAllow UnhealthyPodEvictionPolicy",
            "[sig-apps] DisruptionController should evict ready pods with Default UnhealthyPodEvictionPolicy",
            "[sig-apps] DisruptionController should evict ready pods with IfHealthyBudget UnhealthyPodEvictionPolicy",
            "[sig-apps] DisruptionController should observe PodDisruptionBudget status updated [Conformance]",
            "[sig-apps] DisruptionController should observe that the PodDisruptionBudget status is not updated for unmanaged pods",
            "[sig-apps] DisruptionController should update/patch PodDisruptionBudget status [Conformance]",
            "[sig-apps] CronJob should be able to schedule after more than 100 missed schedule",
            "[sig-apps] CronJob should not schedule jobs when suspended [Slow] [Conformance]",
            "[sig-apps] CronJob should not schedule new jobs when ForbidConcurrent [Slow] [Conformance]",
            "[sig-apps] CronJob should remove from active list jobs that have been deleted",
            "[sig-apps] CronJob should replace jobs when ReplaceConcurrent [Conformance]",
            "[sig-apps] CronJob should schedule multiple jobs concurrently [Conformance]",
            "[sig-apps] CronJob should set the cronjob-scheduled-timestamp annotation on a job",
            "[sig-apps] CronJob should support CronJob API operations [Conformance]",
            "[sig-apps] CronJob should support timezone",
            "[sig-apps] Job should adopt matching orphans and release non-matching pods [Conformance]",
            "[sig-apps] Job should allow to delegate reconciliation to external controller",
            "[sig-apps] Job should allow to use a pod failure policy to ignore failure matching on DisruptionTarget condition [Conformance]",
            "[sig-apps] Job should allow to use a pod failure policy to ignore failure matching on exit code",
            "[sig-apps] Job should allow to use the pod failure policy on exit code to fail the job early [Conformance]",
            "[sig-apps] Job should allow updating pod resources for a job that started and then was suspended [FeatureGate:MutablePodResourcesForSuspendedJobs] [Beta]",
            "[sig-apps] Job should allow updating pod resources for a suspended job [FeatureGate:MutablePodResourcesForSuspendedJobs] [Beta]",
            "[sig-apps] Job should apply changes to a job status [Conformance]",
            "[sig-apps] Job should create pods for an Indexed job with completion indexes and specified hostname [Conformance]",
            "[sig-apps] Job should create pods with completion indexes for an Indexed Job",
            "[sig-apps] Job should delete a job [Conformance]",
            "[sig-apps] Job should delete pods when suspended",
            "[sig-apps] Job should execute all indexes despite some failing when using backoffLimitPerIndex [Conformance]",
            "[sig-apps] Job should fail to exceed backoffLimit",
            "[sig-apps] Job should fail when exceeds active deadline",
            "[sig-apps] Job should manage the lifecycle of a job [Conformance]",
            "[sig-apps] Job should mark indexes as failed when the FailIndex action is matched in podFailurePolicy [Conformance]",
            "[sig-apps] Job should not create pods when created in suspend state",
            "[sig-apps] Job should record the failure-count in the Pod annotation when using backoffLimitPerIndex",
            "[sig-apps] Job should recreate pods only after they have failed if pod replacement policy is set to Failed",
            "[sig-apps] Job should remove pods when job is deleted",
            "[sig-apps] Job should run a job to completion when tasks sometimes fail and are locally restarted [Conformance]",
            "[sig-apps] Job should run a job to completion when tasks sometimes fail and are not locally restarted",
            "[sig-apps] Job should run a job to completion when tasks succeed",
            "[sig-apps] Job should run a job to completion with CPU requests [Serial]",
            "[sig-apps] Job should terminate job execution when the number of failed indexes exceeds maxFailedIndexes [Conformance]",
            "[sig-apps] Job should update the status ready field",
            "[sig-apps] Job with successPolicy should succeeded when all indexes succeeded [Conformance]",
            "[sig-apps] Job with successPolicy succeededCount rule should succeeded even when some indexes remain pending [Conformance]",
            "[sig-apps] Job with successPolicy succeededIndexes rule should succeeded even when some indexes remain pending [Conformance]",
            "[sig-apps] ReplicaSet Replace and Patch tests [Conformance]",
            "[sig-apps] ReplicaSet Replicaset should have a working scale subresource [Conformance]",
            "[sig-apps] ReplicaSet should adopt matching pods on creation and release no longer matching pods [Conformance]",
            "[sig-apps] ReplicaSet should list and delete a collection of ReplicaSets [Conformance]",
            "[sig-apps] ReplicaSet should validate Replicaset Status endpoints [Conformance]",
            "[sig-apps] TTLAfterFinished job should be deleted once it finishes after TTL seconds",
            "[sig-apps] ReplicationController should adopt matching pods on creation [Conformance]",
            "[sig-apps] ReplicationController should get and update a ReplicationController scale [Conformance]",
            "[sig-apps] ReplicationController should release no longer matching pods [Conformance]",
            "[sig-apps] ReplicationController should test the lifecycle of a ReplicationController [Conformance]",
            "[sig-apps] StatefulSet AvailableReplicas should get updated accordingly when MinReadySeconds is enabled",
            "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Should recreate evicted statefulset [Conformance]",
            "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should have a working scale subresource [Conformance]",
            "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should implement legacy replacement when the update strategy is OnDelete",
            "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should list, patch and delete a collection of StatefulSets [Conformance]",
            "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform canary updates and phased rolling updates of template modifications [Conformance]",
            "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform canary updates and phased rolling updates of template modifications for partiton1 and delete pod-0 without failing container",
            "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should validate Statefulset Status endpoints [Conformance]",
            "[sig-apps] StatefulSet MinReadySeconds should be honored when enabled",
            "[sig-apps] StatefulSet Scaling StatefulSetStartOrdinal Decreasing .start.ordinal",
            "[sig-apps] StatefulSet Scaling StatefulSetStartOrdinal Increasing .start.ordinal",
            "[sig-apps] StatefulSet Scaling StatefulSetStartOrdinal Removing .start.ordinal",
            "[sig-apps] StatefulSet Scaling StatefulSetStartOrdinal Setting .start.ordinal",
        ],
        left_out: &[
            (
                "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Burst scaling should run to completion even with unhealthy pods [Slow] [Conformance]",
                EXEC,
            ),
            (
                "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Scaling should happen in predictable order and halt if any stateful pod is unhealthy [Slow] [Conformance]",
                EXEC,
            ),
            (
                "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform rolling updates and roll backs of template modifications [Conformance]",
                EXEC,
            ),
            (
                "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform canary updates and phased rolling updates of template modifications for partiton1 and delete pod-0 with failing container",
                "its containers end as their script says: real containers",
            ),
            (
                "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should adopt matching orphans and release non-matching pods",
                RESUMED,
            ),
            (
                "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should not deadlock when a pod's predecessor fails",
                RESUMED,
            ),
            (
                "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform rolling updates and roll backs of template modifications with PVCs",
                EXEC,
            ),
            (
                "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should provide basic identity",
                RESUMED,
            ),
            (
                "[sig-apps] DisruptionController should evict unready pods with AlwaysAllow UnhealthyPodEvictionPolicy",
                PROBES,
            ),
            (
                "[sig-apps] DisruptionController should not evict unready pods with Default UnhealthyPodEvictionPolicy",
                PROBES,
            ),
            (
                "[sig-apps] DisruptionController should not evict unready pods with IfHealthyBudget UnhealthyPodEvictionPolicy",
                PROBES,
            ),
            (
                "[sig-apps] ReplicaSet should serve a basic image on each replica with a public image [Conformance]",
                HTTP,
            ),
            (
                "[sig-apps] ReplicaSet should serve a basic image on each replica with a private image",
                HTTP,
            ),
            (
                "[sig-apps] ReplicationController should serve a basic image on each replica with a public image [Conformance]",
                HTTP,
            ),
            (
                "[sig-apps] ReplicationController should serve a basic image on each replica with a private image",
                HTTP,
            ),
            (
                "[sig-apps] CronJob should not emit unexpected warnings",
                "runs a program that ends: real containers",
            ),
            (
                "[sig-apps] CronJob should delete failed finished jobs with limit of one job",
                "runs a command that fails: real containers",
            ),
            (
                "[sig-apps] CronJob should delete successful finished jobs with limit of one successful job",
                "runs a command that ends: real containers",
            ),
            (
                "[sig-apps] Job should create Workload and PodGroup for gang-eligible Job [FeatureGate:GenericWorkload] [Alpha] [Feature:OffByDefault] [FeatureGate:WorkloadWithJob] [Alpha] [Feature:OffByDefault]",
                ALPHA,
            ),
            (
                "[sig-apps] Job containers restarted by container restart policy should not trigger PodFailurePolicy [Feature:ContainerRestartRules] [FeatureGate:ContainerRestartRules] [Beta]",
                "hollow containers know no restart rules",
            ),
            (
                "[sig-apps] Deployment should not disrupt a cloud load-balancer's connectivity during rollout",
                "needs a cloud's load balancer",
            ),
        ],
    },
    Set {
        name: "garbage",
        tests: &[
            "[sig-api-machinery] Garbage collector should delete RS created by deployment when not orphaning [Conformance]",
            "[sig-api-machinery] Garbage collector should delete jobs and pods created by cronjob",
            "[sig-api-machinery] Garbage collector should delete pods created by rc when not orphaning [Conformance]",
            "[sig-api-machinery] Garbage collector should keep the rc around until all its pods are deleted if the deleteOptions says so [Serial] [Conformance]",
            "[sig-api-machinery] Garbage collector should not be blocked by dependency circle [Conformance]",
            "[sig-api-machinery] Garbage collector should not delete dependents that have both valid owner and owner that's waiting for dependents to be deleted [Serial] [Conformance]",
            "[sig-api-machinery] Garbage collector should orphan RS created by deployment when deleteOptions.PropagationPolicy is Orphan [Conformance]",
            "[sig-api-machinery] Garbage collector should orphan pods created by rc if delete options say so [Serial] [Conformance]",
            "[sig-api-machinery] Garbage collector should orphan pods created by rc if deleteOptions.OrphanDependents is nil",
            "[sig-api-machinery] Garbage collector should support cascading deletion of custom resources",
            "[sig-api-machinery] Garbage collector should support orphan deletion of custom resources",
        ],
        left_out: &[],
    },
    Set {
        name: "namespaces",
        tests: &[
            "[sig-api-machinery] Namespaces [Serial] should always delete fast (ALL of 100 namespaces in 150 seconds) [Feature:ComprehensiveNamespaceDraining]",
            "[sig-api-machinery] Namespaces [Serial] should apply a finalizer to a Namespace [Conformance]",
            "[sig-api-machinery] Namespaces [Serial] should apply an update to a Namespace [Conformance]",
            "[sig-api-machinery] Namespaces [Serial] should apply changes to a namespace status [Conformance]",
            "[sig-api-machinery] Namespaces [Serial] should delete fast enough (90 percent of 100 namespaces in 150 seconds)",
            "[sig-api-machinery] Namespaces [Serial] should ensure that all pods are removed when a namespace is deleted [Conformance]",
            "[sig-api-machinery] Namespaces [Serial] should ensure that all services are removed when a namespace is deleted [Conformance]",
            "[sig-api-machinery] Namespaces [Serial] should patch a Namespace [Conformance]",
            "[sig-api-machinery] OrderedNamespaceDeletion namespace deletion should delete pod first [Conformance]",
        ],
        left_out: &[],
    },
    Set {
        name: "taints",
        tests: &[
            "[sig-node] NoExecuteTaintManager Multiple Pods [Serial] evicts pods with minTolerationSeconds [Disruptive] [Conformance]",
            "[sig-node] NoExecuteTaintManager Multiple Pods [Serial] only evicts pods without tolerations from tainted nodes",
            "[sig-node] NoExecuteTaintManager Single Pod [Serial] doesn't evict pod with tolerations from tainted nodes",
            "[sig-node] NoExecuteTaintManager Single Pod [Serial] eventually evict pod with finite tolerations from tainted nodes",
            "[sig-node] NoExecuteTaintManager Single Pod [Serial] evicts pods from tainted nodes",
            "[sig-node] NoExecuteTaintManager Single Pod [Serial] pods evicted from tainted nodes have pod disruption condition",
            "[sig-node] NoExecuteTaintManager Single Pod [Serial] removing taint cancels eviction [Disruptive] [Conformance]",
        ],
        left_out: &[],
    },
    Set {
        name: "quotas",
        tests: &[
            "[sig-api-machinery] ResourceQuota should create a ResourceQuota and ensure its status is promptly calculated. [Conformance]",
            "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a service. [Conformance]",
            "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a secret. [Conformance]",
            "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a pod. [Conformance]",
            "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a configMap. [Conformance]",
            "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a replication controller. [Conformance]",
            "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a replica set. [Conformance]",
            "[sig-api-machinery] ResourceQuota should verify ResourceQuota with terminating scopes. [Conformance]",
            "[sig-api-machinery] ResourceQuota should verify ResourceQuota with best effort scope. [Conformance]",
            "[sig-api-machinery] ResourceQuota should be able to update and delete ResourceQuota. [Conformance]",
            "[sig-api-machinery] ResourceQuota should manage the lifecycle of a ResourceQuota [Conformance]",
            "[sig-api-machinery] ResourceQuota should apply changes to a resourcequota status [Conformance]",
            "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a persistent volume claim",
            "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a persistent volume claim with a storage class",
            "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a custom resource.",
            "[sig-apps] ReplicaSet should surface a failure condition on a common issue like exceeded quota",
            "[sig-apps] ReplicationController should surface a failure condition on a common issue like exceeded quota [Conformance]",
        ],
        left_out: &[],
    },
    Set {
        name: "services",
        tests: &[
            "[sig-network] EndpointSlice should create and delete EndpointSlices for a Service with a selector that matches no pods [Conformance]",
            "[sig-network] EndpointSlice should create Endpoints and EndpointSlices for Pods matching a Service [Conformance]",
            "[sig-network] EndpointSlice should support creating EndpointSlice API operations [Conformance]",
            "[sig-network] Endpoints should test the lifecycle of an Endpoint [Conformance]",
            "[sig-network] EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete [Conformance]",
            "[sig-network] EndpointsController should create Endpoints for Pods matching a Service [Conformance]",
            "[sig-network] EndpointsController should create and delete Endpoints for a Service with a selector that matches no pods [Conformance]",
            "[sig-network] Service endpoints latency should not be very high [Conformance]",
            "[sig-network] Services should complete a service status lifecycle [Conformance]",
            "[sig-network] Services should delete a collection of services [Conformance]",
            "[sig-network] Services should find a service from listing all namespaces [Conformance]",
        ],
        left_out: &[
            (
                "[sig-network] API Server should have Endpoints and EndpointSlices pointing to API Server [Conformance]",
                "the API server listens on loopback, which Endpoints may not name",
            ),
            (
                "[sig-network] EndpointSlice should support a Service with multiple endpoint IPs specified in multiple EndpointSlices [Conformance]",
                TRAFFIC,
            ),
            (
                "[sig-network] EndpointSlice should support a Service with multiple ports specified in multiple EndpointSlices [Conformance]",
                TRAFFIC,
            ),
            (
                "[sig-network] EndpointSliceMirroring should mirror a custom Endpoint with multiple subsets and same IP address",
                TRAFFIC,
            ),
        ],
    },
    Set {
        name: "cluster",
        tests: &[
            "[sig-auth] ServiceAccounts should allow opting out of API token automount [Conformance]",
            "[sig-auth] ServiceAccounts should create a serviceAccountToken and ensure a successful TokenReview [Conformance]",
            "[sig-auth] ServiceAccounts should guarantee kube-root-ca.crt exist in any namespace [Conformance]",
            "[sig-auth] ServiceAccounts should run through the lifecycle of a ServiceAccount [Conformance]",
            "[sig-auth] ServiceAccounts should update a ServiceAccount [Conformance]",
            "[sig-network] ServiceCIDR and IPAddress API should support IPAddress API operations [Conformance]",
            "[sig-network] ServiceCIDR and IPAddress API should support ServiceCIDR API operations [Conformance]",
            "[sig-auth] ServiceAccounts no secret-based service account token should be auto-generated",
            "[sig-auth] Certificates API [Privileged:ClusterAdmin] should support CSR API operations [Conformance]",
            "[sig-auth] Certificates API [Privileged:ClusterAdmin] should support building a client with a CSR",
            "[sig-auth] SubjectReview should support SubjectReview API operations [Conformance]",
            "[sig-auth] SelfSubjectReview should support SelfSubjectReview API operations",
        ],
        left_out: &[
            (
                "[sig-auth] ServiceAccounts ServiceAccountIssuerDiscovery should support OIDC discovery of service account issuer [Conformance]",
                EXEC,
            ),
            (
                "[sig-auth] ServiceAccounts should mount an API token into pods [Conformance]",
                EXEC,
            ),
            (
                "[sig-auth] ServiceAccounts should mount projected service account token [Conformance]",
                EXEC,
            ),
            (
                "[sig-auth] ServiceAccounts should set ownership and permission when RunAsUser or FsGroup is present [LinuxOnly]",
                EXEC,
            ),
            (
                "[sig-auth] ServiceAccounts should support InClusterConfig with token rotation [Slow]",
                EXEC,
            ),
            (
                "[sig-network] Service CIDRs should create Services and serve on different Service CIDRs",
                TRAFFIC,
            ),
            (
                "[sig-cluster-lifecycle] [Feature:BootstrapTokens] should sign the new added bootstrap tokens",
                BOOTSTRAP,
            ),
            (
                "[sig-cluster-lifecycle] [Feature:BootstrapTokens] should delete the signed bootstrap tokens from clusterInfo ConfigMap when bootstrap token is deleted",
                BOOTSTRAP,
            ),
            (
                "[sig-cluster-lifecycle] [Feature:BootstrapTokens] should delete the token secret when the secret expired",
                BOOTSTRAP,
            ),
            (
                "[sig-cluster-lifecycle] [Feature:BootstrapTokens] should not delete the token secret when the secret is not expired",
                BOOTSTRAP,
            ),
        ],
    },
    Set {
        name: "pods",
        tests: &[
            "[sig-network] Ingress API should support creating Ingress API operations [Conformance]",
            "[sig-network] IngressClass API should support creating IngressClass API operations [Conformance]",
            "[sig-node] Lease lease API should be available [Conformance]",
            "[sig-node] Node Lifecycle should run through the lifecycle of a node [Conformance]",
            "[sig-node] PodTemplates should delete a collection of pod templates [Conformance]",
            "[sig-node] PodTemplates should replace a pod template [Conformance]",
            "[sig-node] PodTemplates should run the lifecycle of PodTemplates [Conformance]",
            "[sig-node] Pods Extended (pod generation) Pod Generation custom-set generation on new pods and graceful delete [Conformance]",
            "[sig-node] Pods Extended (pod generation) Pod Generation issue 500 podspec updates and verify generation and observedGeneration eventually converge [MinimumKubeletVersion:1.34] [Conformance]",
            "[sig-node] Pods Extended Pods Set QOS Class should be set on Pods with matching resource requests and limits for memory and cpu [Conformance]",
            "[sig-node] Pods should allow activeDeadlineSeconds to be updated [NodeConformance] [Conformance]",
            "[sig-node] Pods should be submitted and removed [NodeConformance] [Conformance]",
            "[sig-node] Pods should be updated [NodeConformance] [Conformance]",
            "[sig-node] Pods should delete a collection of pods [Conformance]",
            "[sig-node] Pods should get a host IP [NodeConformance] [Conformance]",
            "[sig-node] Pods should patch a pod status [Conformance]",
            "[sig-node] Pods should run through the lifecycle of Pods and PodStatus [Conformance]",
        ],
        left_out: &[
            (
                "[sig-node] Pods Extended (pod generation) Pod Generation pod generation should start at 1 and increment per update [MinimumKubeletVersion:1.34] [Conformance]",
                "not measured to its end yet",
            ),
            (
                "[sig-node] Pods should contain environment variables for services [NodeConformance] [Conformance]",
                "looks at the environment of its processes: real containers",
            ),
            (
                "[sig-node] Pods should support remote command execution over websockets [NodeConformance] [Conformance]",
                EXEC,
            ),
            (
                "[sig-node] Pods should support retrieving logs from the container over websockets [NodeConformance] [Conformance]",
                "reads its pods' logs: real containers",
            ),
        ],
    },
    Set {
        name: "scheduling",
        tests: &[
            "[sig-scheduling] LimitRange should create a LimitRange with defaults and ensure pod has those defaults applied. [Conformance]",
            "[sig-scheduling] LimitRange should list, patch and delete a LimitRange by collection [Conformance]",
            "[sig-scheduling] SchedulerPredicates [Serial] PodTopologySpread Filtering validates 4 pods with MaxSkew=1 are evenly distributed into 2 nodes",
            "[sig-scheduling] SchedulerPredicates [Serial] validates Pods with non-empty schedulingGates are blocked on scheduling",
            "[sig-scheduling] SchedulerPredicates [Serial] validates local ephemeral storage resource limits of pods that are allowed to run",
            "[sig-scheduling] SchedulerPredicates [Serial] validates pod overhead is considered along with resource limits of pods that are allowed to run verify pod overhead is accounted for",
            "[sig-scheduling] SchedulerPredicates [Serial] validates resource limits of pods that are allowed to run [Conformance]",
            "[sig-scheduling] SchedulerPredicates [Serial] validates that NodeAffinity is respected if not matching",
            "[sig-scheduling] SchedulerPredicates [Serial] validates that NodeSelector is respected if matching [Conformance]",
            "[sig-scheduling] SchedulerPredicates [Serial] validates that NodeSelector is respected if not matching [Conformance]",
            "[sig-scheduling] SchedulerPredicates [Serial] validates that required NodeAffinity setting is respected if matching",
            "[sig-scheduling] SchedulerPredicates [Serial] validates that taints-tolerations is respected if matching",
            "[sig-scheduling] SchedulerPredicates [Serial] validates that taints-tolerations is respected if not matching",
            "[sig-scheduling] SchedulerPredicates [Serial] validates that there exists conflict between pods with same hostPort and protocol but one using 0.0.0.0 hostIP [Conformance]",
            "[sig-scheduling] SchedulerPredicates [Serial] when PVC has node-affinity to non-existent/illegal nodes, the pod should be scheduled normally if suitable nodes exist",
            "[sig-scheduling] SchedulerPreemption [Serial] PodTopologySpread Preemption validates proper pods are preempted",
            "[sig-scheduling] SchedulerPreemption [Serial] PreemptionExecutionPath runs ReplicaSets to verify preemption running path [Conformance]",
            "[sig-scheduling] SchedulerPreemption [Serial] PriorityClass endpoints verify PriorityClass endpoints can be operated with different HTTP methods [Conformance]",
            "[sig-scheduling] SchedulerPreemption [Serial] validates basic preemption works [Conformance]",
            "[sig-scheduling] SchedulerPreemption [Serial] validates lower priority pod preemption by critical pod [Conformance]",
            "[sig-scheduling] SchedulerPreemption [Serial] validates pod disruption condition is added to the preempted pod [Conformance]",
            "[sig-scheduling] SchedulerPreemption [Serial] validates various priority Pods preempt expectedly with the async preemption [Feature:SchedulerAsyncPreemption] [FeatureGate:SchedulerAsyncPreemption] [Beta]",
            "[sig-scheduling] SchedulerPriorities [Serial] Pod should be preferably scheduled to nodes pod can tolerate",
            "[sig-scheduling] SchedulerPriorities [Serial] Pod should be scheduled to node that don't match the PodAntiAffinity terms",
            "[sig-scheduling] SchedulerPriorities [Serial] PodTopologySpread Scoring validates pod should be preferably scheduled to node which makes the matching pods more evenly distributed",
        ],
        left_out: &[
            (
                "[sig-scheduling] SchedulerPredicates [Serial] validates that there is no conflict between pods with same hostPort but different hostIP and protocol",
                HTTP,
            ),
            (
                "[sig-scheduling] Multi-AZ Clusters should spread the pods of a replication controller across zones [Serial]",
                ZONES,
            ),
            (
                "[sig-scheduling] Multi-AZ Clusters should spread the pods of a service across zones [Serial]",
                ZONES,
            ),
            (
                "[sig-scheduling] Workload [FeatureGate:GenericWorkload] [Alpha] [Feature:OffByDefault] CRUD Tests PodGroup API availability",
                ALPHA,
            ),
            (
                "[sig-scheduling] Workload [FeatureGate:GenericWorkload] [Alpha] [Feature:OffByDefault] CRUD Tests Workload API availability",
                ALPHA,
            ),
        ],
    },
    Set {
        name: "storage",
        tests: &[
            "[sig-apps] StatefulSet Automatically recreate PVC for pending pod when PVC is missing PVC should be recreated when pod is pending due to missing PVC [Disruptive] [Serial]",
            "[sig-apps] StatefulSet Non-retain StatefulSetPersistentVolumeClaimPolicy should delete PVCs after adopting pod (WhenDeleted)",
            "[sig-apps] StatefulSet Non-retain StatefulSetPersistentVolumeClaimPolicy should delete PVCs after adopting pod (WhenScaled)",
            "[sig-apps] StatefulSet Non-retain StatefulSetPersistentVolumeClaimPolicy should delete PVCs with a OnScaledown policy",
            "[sig-apps] StatefulSet Non-retain StatefulSetPersistentVolumeClaimPolicy should delete PVCs with a WhenDeleted policy",
            "[sig-apps] StatefulSet Non-retain StatefulSetPersistentVolumeClaimPolicy should not delete PVC with OnScaledown policy if another controller owns the PVC",
            "[sig-apps] StatefulSet Non-retain StatefulSetPersistentVolumeClaimPolicy should not delete PVCs when there is another controller",
            "[sig-storage] CSIInlineVolumes should run through the lifecycle of a CSIDriver [Conformance]",
            "[sig-storage] CSIInlineVolumes should support CSIVolumeSource in Pod API [Conformance]",
            "[sig-storage] CSINodes CSI Conformance should run through the lifecycle of a csinode [Conformance]",
            "[sig-storage] CSIStorageCapacity should support CSIStorageCapacities API operations [Conformance]",
            "[sig-storage] PV Protection Verify \"immediate\" deletion of a PV that is not bound to a PVC",
            "[sig-storage] PV Protection Verify that PV bound to a PVC is not removed immediately",
            "[sig-storage] PVC Protection Verify \"immediate\" deletion of a PVC that is not in active use by a pod",
            "[sig-storage] PVC Protection Verify that PVC in active use by a pod is not removed immediately",
            "[sig-storage] PVC Protection Verify that scheduling of a pod that uses PVC that is being deleted fails and the pod becomes Unschedulable",
            "[sig-storage] PersistentVolumes CSI Conformance should apply changes to a pv/pvc status [Conformance]",
            "[sig-storage] PersistentVolumes CSI Conformance should run through the lifecycle of a PV and a PVC [Conformance]",
            "[sig-storage] Retroactive StorageClass Assignment should assign default StorageClass to PVCs retroactively [Disruptive] [Serial]",
            "[sig-storage] StorageClasses CSI Conformance should run through the lifecycle of a StorageClass [Conformance]",
            "[sig-storage] VolumeAttachment Conformance should apply changes to a volumeattachment status [Conformance]",
            "[sig-storage] VolumeAttachment Conformance should run through the lifecycle of a VolumeAttachment [Conformance]",
            "[sig-storage] VolumeAttributesClass [FeatureGate:VolumeAttributesClass] should run through the lifecycle of a VolumeAttributesClass [Conformance]",
        ],
        left_out: &[
            (
                "[sig-storage] PersistentVolumes Default StorageClass [LinuxOnly] pods that use multiple volumes should be reschedulable [Slow]",
                EXEC,
            ),
            (
                "[sig-storage] PersistentVolumes-local Pod with node different from PV's NodeAffinity should fail scheduling due to different NodeAffinity",
                EXEC,
            ),
            (
                "[sig-storage] PersistentVolumes-local Pod with node different from PV's NodeAffinity should fail scheduling due to different NodeSelector",
                EXEC,
            ),
            (
                "[sig-storage] Dynamic Provisioning DynamicProvisioner Default should be disabled by changing the default annotation [Serial] [Disruptive]",
                CLOUD,
            ),
            (
                "[sig-storage] Dynamic Provisioning DynamicProvisioner Default should be disabled by removing the default annotation [Serial] [Disruptive]",
                CLOUD,
            ),
            (
                "[sig-storage] PersistentVolumes NFS with Single PV - PVC pairs create a PV: test phase transition timestamp is set and phase is Available",
                NFS,
            ),
        ],
    },
];

/// The set of that name.
pub(crate) fn find(name: &str) -> Result<&'static Set, String> {
    SETS.iter().find(|set| set.name == name).ok_or_else(|| {
        let known: Vec<_> = SETS.iter().map(|set| set.name).collect();
        format!("there is no set {name}; there are {}", known.join(", "))
    })
}

/// A regular expression that fits exactly `tests`. Ginkgo sets the suite's name before that of the test.
pub(crate) fn focus(tests: &[&str]) -> String {
    let escaped: Vec<_> = tests.iter().map(|name| escape(name)).collect();
    format!("^Kubernetes e2e suite ({})$", escaped.join("|"))
}

/// `text` as a regular expression of Go that fits nothing else.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{SETS, find, focus};
    use std::collections::BTreeSet;

    #[test]
    fn no_test_is_named_twice() {
        let mut seen = BTreeSet::new();
        for set in SETS {
            let left_out = set.left_out.iter().map(|(name, _)| name);
            for name in set.tests.iter().chain(left_out) {
                assert!(seen.insert(*name), "{name}");
            }
        }
    }

    #[test]
    fn names_are_taken_literally() {
        assert_eq!(
            focus(&["[sig-a] b's c.", "d (e)"]),
            r"^Kubernetes e2e suite (\[sig-a\] b's c\.|d \(e\))$"
        );
    }

    #[test]
    fn an_unknown_set_is_told_with_those_that_are_known() {
        assert_eq!(
            find("app").err().as_deref(),
            Some(
                "there is no set app; there are apps, garbage, namespaces, taints, quotas, services, cluster, pods, scheduling, storage"
            )
        );
        assert!(find("apps").is_ok());
    }
}
