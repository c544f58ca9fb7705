package deploy_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// manifests are the objects of one file.
type manifests struct {
	settings map[string]string // of its ConfigMaps
	pod      corev1.PodTemplateSpec
	selector *metav1.LabelSelector // of the pod's owner
	claims   []corev1.PersistentVolumeClaim
	services []corev1.Service
	budgets  []policyv1.PodDisruptionBudget
}

// readManifests decodes as the API server does with strict field validation: a name that is no field is an error.
func readManifests(t *testing.T, file string) *manifests {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m := &manifests{settings: map[string]string{}}
	for _, document := range bytes.Split(content, []byte("\n---\n")) {
		if err := m.add(document); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	if m.selector == nil || len(m.services) == 0 || len(m.budgets) == 0 {
		t.Fatalf("%s has no pods, no service or no budget", file)
	}
	return m
}

func (m *manifests) add(document []byte) error {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		return err
	}
	switch kind.Kind {
	case "ConfigMap":
		object, err := decode[corev1.ConfigMap](document)
		m.settings = object.Data
		return err
	case "StatefulSet":
		object, err := decode[appsv1.StatefulSet](document)
		m.pod, m.selector, m.claims = object.Spec.Template, object.Spec.Selector, object.Spec.VolumeClaimTemplates
		return err
	case "Service":
		object, err := decode[corev1.Service](document)
		m.services = append(m.services, object)
		return err
	case "PodDisruptionBudget":
		object, err := decode[policyv1.PodDisruptionBudget](document)
		m.budgets = append(m.budgets, object)
		return err
	default:
		return fmt.Errorf("unexpected kind %q", kind.Kind)
	}
}

func decode[T any](document []byte) (object T, err error) {
	err = yaml.UnmarshalStrict(document, &object)
	return object, err
}

// environment is what the bridge gets: the image's, the ConfigMap's and the container's own.
func (m *manifests) environment(t *testing.T) map[string]string {
	t.Helper()
	environment := readDockerfile(t).environment()
	for name, value := range m.settings {
		environment[name] = value
	}
	for _, variable := range m.pod.Spec.Containers[0].Env {
		environment[variable.Name] = variable.Value
	}
	return environment
}

func eachFile(t *testing.T, check func(t *testing.T, m *manifests)) {
	t.Helper()
	files, err := filepath.Glob("kubernetes/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("found %q, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { check(t, readManifests(t, file)) })
	}
}

func TestSelectorsFindThePods(t *testing.T) {
	t.Parallel()
	eachFile(t, func(t *testing.T, m *manifests) {
		pod := labels.Set(m.pod.Labels)
		selectors := []*metav1.LabelSelector{m.selector}
		for _, budget := range m.budgets {
			selectors = append(selectors, budget.Spec.Selector)
		}
		for _, service := range m.services {
			selectors = append(selectors, &metav1.LabelSelector{MatchLabels: service.Spec.Selector})
		}
		for _, selector := range selectors {
			compiled, err := metav1.LabelSelectorAsSelector(selector)
			if err != nil || compiled.Empty() || !compiled.Matches(pod) {
				t.Errorf("%v does not select pods labelled %v: %v", selector, pod, err)
			}
		}
	})
}

func TestSettingsOfPods(t *testing.T) {
	t.Parallel()
	eachFile(t, func(t *testing.T, m *manifests) {
		environment := m.environment(t)
		config := parseSettings(t, environment)
		if err := config.Validate(); err != nil || config.Insecure {
			t.Errorf("settings are refused or insecure: %v", err)
		}
		grace := time.Duration(*m.pod.Spec.TerminationGracePeriodSeconds) * time.Second
		if need := config.ShutdownDelay + config.DrainTimeout + closingTime; grace < need {
			t.Errorf("terminationGracePeriodSeconds are %s, a shutdown may take %s", grace, need)
		}
		for name, value := range environment {
			if path.IsAbs(value) && !m.isMounted(value) {
				t.Errorf("%s is %s, where nothing is mounted", name, value)
			}
		}
	})
}

// isMounted tells whether a path lies in a volume that the pod has.
func (m *manifests) isMounted(name string) bool {
	var volumes []string
	for _, volume := range m.pod.Spec.Volumes {
		volumes = append(volumes, volume.Name)
	}
	for _, claim := range m.claims {
		volumes = append(volumes, claim.Name)
	}
	return slices.ContainsFunc(m.pod.Spec.Containers[0].VolumeMounts, func(mount corev1.VolumeMount) bool {
		return strings.HasPrefix(name+"/", mount.MountPath+"/") && slices.Contains(volumes, mount.Name)
	})
}

// quarantineBytes is the bound of the quarantine.
const quarantineBytes = 256 << 20

// TestDataOutlivesThePod: the data directory holds what was acknowledged, on NATS as well.
func TestDataOutlivesThePod(t *testing.T) {
	t.Parallel()
	eachFile(t, func(t *testing.T, m *manifests) {
		config := parseSettings(t, m.environment(t))
		need := int64(quarantineBytes)
		if config.NATSURL != "" {
			need += config.SpoolMaxBytes
		}
		claim := m.claimAt(config.DataDir)
		if claim == nil {
			t.Fatalf("%s lies in no volume that outlives the pod", config.DataDir)
		}
		if size := claim.Spec.Resources.Requests.Storage().Value(); size < 2*need {
			t.Errorf("a claim of %d bytes, for up to %d and what must be kept free", size, need)
		}
	})
}

// claimAt is the claim whose volume is mounted at a path.
func (m *manifests) claimAt(name string) *corev1.PersistentVolumeClaim {
	for _, mount := range m.pod.Spec.Containers[0].VolumeMounts {
		for i := range m.claims {
			if m.claims[i].Name == mount.Name && mount.MountPath == name {
				return &m.claims[i]
			}
		}
	}
	return nil
}

// TestPortsAndProbes holds ports to the image's listeners, and asks a real bridge the probes' questions.
func TestPortsAndProbes(t *testing.T) {
	t.Parallel()
	bridge := startBridge(t)
	eachFile(t, func(t *testing.T, m *manifests) {
		config := parseSettings(t, m.environment(t))
		container := m.pod.Spec.Containers[0]
		ports := map[string]int32{}
		for _, port := range container.Ports {
			ports[port.Name] = port.ContainerPort
		}
		for name, address := range map[string]string{
			"http": config.HTTPAddr, "grpc": config.GRPCAddr, "metrics": config.MetricsAddr,
		} {
			if _, port, _ := net.SplitHostPort(address); port != strconv.Itoa(int(ports[name])) {
				t.Errorf("port %q is %d, the bridge listens at %s", name, ports[name], address)
			}
		}
		for _, service := range m.services {
			for _, port := range service.Spec.Ports {
				if ports[port.TargetPort.StrVal] == 0 {
					t.Errorf("service %s: no port %q", service.Name, port.TargetPort.StrVal)
				}
			}
		}
		listeners := map[string]string{"http": bridge.HTTPAddr(), "metrics": bridge.MetricsAddr()}
		for _, probe := range []*corev1.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe} {
			wantOK(t, "http://"+listeners[probe.HTTPGet.Port.StrVal]+probe.HTTPGet.Path)
		}
	})
}

// TestPodsAreConfined wants the profile that Kubernetes calls restricted.
func TestPodsAreConfined(t *testing.T) {
	t.Parallel()
	eachFile(t, func(t *testing.T, m *manifests) {
		pod, container := m.pod.Spec.SecurityContext, m.pod.Spec.Containers[0].SecurityContext
		if !*pod.RunAsNonRoot || pod.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
			*container.AllowPrivilegeEscalation || !*container.ReadOnlyRootFilesystem ||
			!slices.Equal(container.Capabilities.Drop, []corev1.Capability{"ALL"}) {
			t.Errorf("got %+v and %+v", pod, container)
		}
		resources := m.pod.Spec.Containers[0].Resources
		if resources.Requests.Memory().IsZero() || resources.Requests.Cpu().IsZero() || resources.Limits.Memory().IsZero() {
			t.Errorf("resources: %+v", resources)
		}
	})
}
