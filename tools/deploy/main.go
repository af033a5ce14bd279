// Command deploy renders the Helm chart in ../../deploy with values of several kinds and
// holds every object against the schemas in ../../deploy/schemas, as `helm template` and
// kubeconform do. It uses their packages, for the commands themselves take minutes to
// build. It prints a line for each object, and ends with status 1 where one is not valid
// or where values that make no sense were taken.
//
//	go run .                      all that CI checks
//	go run . FILE.yaml ...        the chart with values of your own, printed
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/yannh/kubeconform/pkg/validator"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

const (
	chartDir   = "../../deploy/kapok"
	valuesDir  = "../../deploy/testdata" // of `kapok testnet values`, and others
	schemas    = "../../deploy/schemas/{{ .ResourceKind }}{{ .KindSuffix }}.json"
	kubernetes = "1.34.0"
)

// senseless are values that the chart must refuse, with a part of its answer.
var senseless = []struct{ values, answer string }{
	{"nodes: []", "nodes"},
	{"nodes: [{maxHashrate: 1, dials: [1]}]", "nodes[0] dials node 1, and there are 1"},
	{"nodes: [{maxHashrate: -1, dials: []}]", "maxHashrate"},
	{"replicas: 3", "replicas"},
	{"storage: {size: big}", "size"},
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(files []string, w io.Writer) error {
	c, err := loader.Load(chartDir)
	if err != nil {
		return err
	}
	if len(files) > 0 {
		for _, file := range files {
			values, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			objects, err := render(c, values)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			for _, o := range objects {
				fmt.Fprintf(w, "---\n%s\n", strings.TrimSpace(o.text))
			}
		}
		return nil
	}
	return errors.Join(checkValues(c, w), checkSenseless(c, w))
}

// checkValues renders the chart's own values and those of the folder.
func checkValues(c *chart.Chart, w io.Writer) error {
	valid, err := validator.New([]string{schemas}, validator.Opts{Strict: true, KubernetesVersion: kubernetes})
	if err != nil {
		return err
	}
	cases := map[string]string{"the chart's values": "", "with a PodMonitor": "podMonitor: {enabled: true}"}
	entries, err := os.ReadDir(valuesDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		text, err := os.ReadFile(path.Join(valuesDir, e.Name()))
		if err != nil {
			return err
		}
		cases[e.Name()] = string(text)
	}
	var errs []error
	for name, values := range cases {
		objects, err := render(c, []byte(values))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		for _, o := range objects {
			for _, result := range valid.Validate(o.name, io.NopCloser(strings.NewReader(o.text))) {
				switch result.Status {
				case validator.Valid:
					signature, _ := result.Resource.Signature() // it was read to be valid
					fmt.Fprintf(w, "%s: %s %s is valid\n", name, signature.Kind, signature.Name)
				case validator.Empty:
				default:
					errs = append(errs, fmt.Errorf("%s: %s: %w", name, o.name, result.Err))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// checkSenseless makes sure that the chart refuses what it must.
func checkSenseless(c *chart.Chart, w io.Writer) error {
	var errs []error
	for _, s := range senseless {
		_, err := render(c, []byte(s.values))
		if err == nil || !strings.Contains(err.Error(), s.answer) {
			errs = append(errs, fmt.Errorf("values %q: answered %v, expected %q", s.values, err, s.answer))
			continue
		}
		fmt.Fprintf(w, "%s: refused\n", s.values)
	}
	return errors.Join(errs...)
}

type object struct{ name, text string }

// render is `helm template`, in the order of the files' names.
func render(c *chart.Chart, text []byte) ([]object, error) {
	values, err := chartutil.ReadValues(text)
	if err != nil {
		return nil, err
	}
	release := chartutil.ReleaseOptions{Name: "test", Namespace: "kapok", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, values, release, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	var objects []object
	for name, text := range files {
		if strings.HasSuffix(name, ".yaml") {
			objects = append(objects, object{name, text})
		}
	}
	slices.SortFunc(objects, func(a, b object) int { return strings.Compare(a.name, b.name) })
	return objects, nil
}
