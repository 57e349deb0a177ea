// Package web tests an operator with controller-runtime's envtest, on a cluster where Deployments make pods.
//
//	KUBECONFIG=$(corten up --detach) USE_EXISTING_CLUSTER=true go test ./...
package web

import (
	"context"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// reconciler gives each ConfigMap with the label "serve" a Deployment of its name.
type reconciler struct{ client.Client }

func (r *reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var config corev1.ConfigMap
	if err := r.Get(ctx, req.NamespacedName, &config); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if config.Labels["serve"] == "" || config.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	labels := map[string]string{"serves": config.Name}
	deployment := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: config.Name, Namespace: config.Namespace}}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, &deployment, func() error {
		replicas := int32(2)
		deployment.Spec.Replicas = &replicas
		deployment.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
		deployment.Spec.Template.Labels = labels
		deployment.Spec.Template.Spec.Containers = []corev1.Container{{Name: "web", Image: config.Data["image"]}}
		return controllerutil.SetControllerReference(&config, &deployment, scheme.Scheme)
	})
	return ctrl.Result{}, err
}

// until asks for half a minute.
func until(t *testing.T, ctx context.Context, what string, is func(context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, is); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestPodsComeAndGoWithTheirConfigMap(t *testing.T) {
	// envtest starts no servers of its own when USE_EXISTING_CLUSTER is true.
	env := envtest.Environment{}
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer env.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	manager, err := ctrl.NewManager(config, ctrl.Options{Metrics: server.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	err = ctrl.NewControllerManagedBy(manager).For(&corev1.ConfigMap{}).Owns(&appsv1.Deployment{}).
		Complete(&reconciler{manager.GetClient()})
	if err != nil {
		t.Fatal(err)
	}
	go manager.Start(ctx)

	api, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	shop := corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-", Namespace: "default", Labels: map[string]string{"serve": "true"}},
		Data:       map[string]string{"image": "shop:1"},
	}
	if err := api.Create(ctx, &shop); err != nil {
		t.Fatal(err)
	}
	key := client.ObjectKeyFromObject(&shop)
	until(t, ctx, "two pods are ready", func(ctx context.Context) (bool, error) {
		var deployment appsv1.Deployment
		err := api.Get(ctx, key, &deployment)
		return deployment.Status.ReadyReplicas == 2, client.IgnoreNotFound(err)
	})
	// With envtest alone the Deployment would stay for ever, and there would have been no pods.
	if err := api.Delete(ctx, &shop); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, "all of it is gone", func(ctx context.Context) (bool, error) {
		var pods corev1.PodList
		if err := api.List(ctx, &pods, client.MatchingLabels{"serves": shop.Name}); err != nil {
			return false, err
		}
		err := api.Get(ctx, key, &appsv1.Deployment{})
		return apierrors.IsNotFound(err) && len(pods.Items) == 0, client.IgnoreNotFound(err)
	})
}
