package main

import (
	"io"
	"strings"
	"testing"
)

func TestFlags(t *testing.T) {
	o, err := parseFlags(strings.Fields("-addr :9000 -canvas 20x30 -gateways 4 -apis 3 -redis redis://h:1 -data d -state s"), io.Discard)
	want := Options{Addr: ":9000", Data: "d", Width: 20, Height: 30, Gateways: 4, APIs: 3, Redis: "redis://h:1", State: "s"}
	if err != nil || o != want {
		t.Errorf("%+v %v", o, err)
	}
	if !o.processes() || o.count("gateway") != 4 || o.count("frontend") != 1 {
		t.Error("wrong numbers of processes")
	}
	if o, err := parseFlags(nil, io.Discard); err != nil || o.Addr != "127.0.0.1:8080" || o.processes() {
		t.Errorf("default %+v %v", o, err)
	}
	for args, want := range map[string]string{
		"-addr 8080":                    "-addr",
		"-canvas 20":                    "-canvas",
		"-canvas 0x5":                   "-canvas",
		"-gateways -1":                  "-gateways",
		"-apis 1000":                    "-apis",
		"-redis h:1":                    "-redis",
		"-redis redis://u:hunter2@h":    "REDIS_URL",
		"-redis redis://h?password=foo": "REDIS_URL",
		"start":                         `"start"`,
		"-nonsense":                     "nonsense",
	} {
		if _, err := parseFlags(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", args, err)
		}
	}
}
