package controlplane

import (
	"bytes"
	"context"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"k8s.io/client-go/kubernetes"
)

// metrics are kube-apiserver's, by name.
type metrics map[string]*dto.MetricFamily

func readMetrics(ctx context.Context, t *testing.T, client *kubernetes.Clientset) metrics {
	t.Helper()
	text, err := client.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return parseMetrics(t, text)
}

func parseMetrics(t *testing.T, text []byte) metrics {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// sum adds up the samples of a counter, or the observations of a histogram, that have all these labels.
func (m metrics) sum(name string, labels map[string]string) float64 {
	total := 0.0
	for _, metric := range m[name].GetMetric() {
		found := 0
		for _, label := range metric.GetLabel() {
			if value, wanted := labels[label.GetName()]; wanted && value == label.GetValue() {
				found++
			}
		}
		if found == len(labels) {
			total += metric.GetCounter().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return total
}

func TestMetricsAreSummedByTheirLabels(t *testing.T) {
	metrics := parseMetrics(t, []byte("# TYPE a counter\na{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"3\"} 4\na{x=\"2\",y=\"2\"} 5\n"+
		"# TYPE b histogram\nb_bucket{le=\"+Inf\"} 6\nb_sum 1\nb_count 6\n"))
	all, some := metrics.sum("a", nil), metrics.sum("a", map[string]string{"x": "1"})
	if observed, none := metrics.sum("b", nil), metrics.sum("c", nil); all != 12 || some != 7 || observed != 6 || none != 0 {
		t.Errorf("the sums are %v, %v, %v and %v", all, some, observed, none)
	}
}
