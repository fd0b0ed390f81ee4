package controlplane

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"
)

// metrics are kube-apiserver's, as it prints them (https://prometheus.io/docs/instrumenting/exposition_formats/).
type metrics string

func readMetrics(ctx context.Context, t *testing.T, client *kubernetes.Clientset) metrics {
	t.Helper()
	text, err := client.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return metrics(text)
}

// sum adds up the samples of a metric that have all these labels, each as it is printed: name="value".
func (m metrics) sum(name string, labels ...string) float64 {
	total := 0.0
samples:
	for line := range strings.Lines(string(m)) {
		rest, is := strings.CutPrefix(strings.TrimSpace(line), name)
		if !is || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(rest, label) {
				continue samples
			}
		}
		value, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err == nil {
			total += value
		}
	}
	return total
}

func TestMetricsAreSummedByTheirLabels(t *testing.T) {
	text := metrics("# HELP a b\na{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"3\"} 4\na{x=\"2\",y=\"2\"} 5\na_count{x=\"1\"} 6\na 7\n")
	if all, some := text.sum("a"), text.sum("a", `x="1"`); all != 19 || some != 7 {
		t.Errorf("the sums are %v and %v", all, some)
	}
}
