package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/cloud-pixel/playground/bench/scenarios/scenario"
)

type options struct {
	scenario    *scenario.Scenario // nil with help alone
	help        bool
	playground  string
	state       string
	reports     string
	thresholds  string
	metricsAddr string

	gateways, apis, frontends int

	remote     bool
	kubernetes bool
	kubeconfig string
	context    string
	namespace  string
	selectors  map[string]string
}

func parse(args []string, problems io.Writer) (o options, err error) {
	f := flag.NewFlagSet("scenarios", flag.ContinueOnError)
	f.SetOutput(problems)
	f.StringVar(&o.playground, "playground", "build/playground", "`program` to start the system with")
	f.StringVar(&o.state, "state", "", "state `file` of a playground that runs already, instead; one that does not exist counts as none")
	f.IntVar(&o.gateways, "gateways", 4, "gateways to start")
	f.IntVar(&o.apis, "apis", 3, "apis to start")
	f.IntVar(&o.frontends, "frontends", 2, "frontends to start")
	f.StringVar(&o.reports, "reports", "build/reports", "`folder` for the report as text, JSON and HTML; empty: none")
	f.StringVar(&o.thresholds, "thresholds", "", "`file` of thresholds in place of the built-in ones")
	f.StringVar(&o.metricsAddr, "metrics", "", "`address` to serve the metrics at while it runs, for Prometheus; empty: none")
	f.BoolVar(&o.remote, "remote", false, "allow WS_URL and API_URL to name another machine, which must be yours")
	f.BoolVar(&o.kubernetes, "kubernetes", false, "break pods of a Kubernetes cluster")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "`file` that says how to reach the cluster; default: as kubectl finds it")
	f.StringVar(&o.context, "context", "", "its `name` in that file; default: the current one")
	f.StringVar(&o.namespace, "namespace", "", "`namespace` of the pods; default: the context's")
	selectors := f.String("selectors", "", "label selectors of pods, `service:selector;…`; default: app.kubernetes.io/name=gateway and so on")
	f.Usage = func() {
		_, _ = fmt.Fprint(problems, "Load and fault scenarios.\n\nUsage: scenarios [flags] NAME\n       scenarios help [NAME]\n\n")
		help(problems, nil)
		_, _ = fmt.Fprint(problems, "\n")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	names := f.Args()
	if len(names) > 0 && names[0] == "help" {
		o.help, names = true, names[1:]
	}
	switch {
	case len(names) == 0 && o.help:
		return o, nil
	case len(names) == 0:
		return o, errors.New("which scenario? `scenarios help` lists them")
	case len(names) > 1:
		return o, fmt.Errorf("%q comes after the name of the scenario; flags stand before it", names[1])
	}
	s, ok := scenario.ByName(names[0])
	if !ok {
		return o, fmt.Errorf("there is no scenario %q; `scenarios help` lists them", names[0])
	}
	o.scenario = &s
	if o.gateways < 1 || o.apis < 1 || o.frontends < 1 {
		return o, errors.New("-gateways, -apis and -frontends are at least 1")
	}
	if *selectors != "" {
		o.selectors = map[string]string{}
		for _, pair := range strings.Split(*selectors, ";") {
			service, selector, ok := strings.Cut(pair, ":")
			if !ok || service == "" || selector == "" {
				return o, fmt.Errorf("-selectors: %q is not of the form service:selector", pair)
			}
			o.selectors[service] = selector
		}
	}
	return o, nil
}
