package pixel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/grafana/sobek"
	k6metrics "go.k6.io/k6/metrics"

	"github.com/cloud-pixel/playground/k6/faults"
	"github.com/cloud-pixel/playground/services/fleet"
)

// chaos breaks things for a script: of a playground on this machine, or of a
// Kubernetes cluster. Each fault becomes samples of k6, and an annotation where
// there is somebody to annotate for.
type chaos struct {
	i     *instance
	chaos faults.Chaos
	out   chan<- k6metrics.SampleContainer
	tags  *k6metrics.TagSet
}

type chaosOptions struct {
	State      string
	Kubernetes *struct {
		Kubeconfig, Context, Namespace string
		Selectors                      map[string]string
	}
	Grafana *struct{ URL, Token string }
}

// newChaos is the script's chaos(options).
func (i *instance) newChaos(options sobek.Value) *chaos {
	i.running("chaos()")
	var o chaosOptions
	err := decode(options, &o)
	if err == nil && (o.State == "") == (o.Kubernetes == nil) {
		err = errors.New("chaos needs the state file of a playground with processes of its own, or a Kubernetes cluster")
	}
	state := i.vu.State()
	c := &chaos{i: i, out: state.Samples, tags: state.Tags.GetCurrentValues().Tags}
	switch {
	case err != nil:
	case o.Kubernetes != nil:
		k := o.Kubernetes
		c.chaos.Injector, err = faults.NewKubernetes(faults.KubernetesOptions{
			Kubeconfig: k.Kubeconfig, Context: k.Context, Namespace: k.Namespace, Selectors: k.Selectors,
		})
	default:
		var f *fleet.Fleet
		if f, err = fleet.Attach(o.State); err == nil {
			c.chaos.Injector = faults.NewLocal(f)
		}
	}
	if err != nil {
		i.throw(err)
	}
	var grafana func(context.Context, faults.Event) error
	if o.Grafana != nil {
		grafana = faults.Grafana(o.Grafana.URL, o.Grafana.Token)
	}
	ctx := i.vu.Context()
	c.chaos.Annotate = func(annotating context.Context, e faults.Event) error {
		c.sample(ctx, e)
		if grafana == nil {
			return nil
		}
		return grafana(annotating, e)
	}
	return c
}

// sample tells k6 of a fault, or of the end of one.
func (c *chaos) sample(ctx context.Context, e faults.Event) {
	tags := c.tags.With("kind", string(e.Kind)).With("target", e.Target)
	s := k6metrics.Sample{TimeSeries: k6metrics.TimeSeries{Metric: c.i.known[faultsMetric], Tags: tags}, Time: e.At, Value: 1}
	if !e.Recovered.IsZero() {
		s.Metric, s.Time, s.Value = c.i.known[faultTimeMetric], e.Recovered, k6metrics.D(e.Recovered.Sub(e.At))
	}
	k6metrics.PushIfNotDone(ctx, c.out, s)
	m := c.i.module
	m.mu.Lock()
	defer m.mu.Unlock()
	m.results.events = append(m.results.events[:len(m.results.events):len(m.results.events)], e)
}

// Targets names what there is of a service.
func (c *chaos) Targets(service string) *sobek.Promise {
	return c.i.async(func(ctx context.Context) (any, error) {
		found, err := c.chaos.Targets(ctx, service)
		if found == nil {
			found = []string{}
		}
		return found, err
	})
}

// Kill ends targets without a word, all at once, and waits until the system is
// whole again.
func (c *chaos) Kill(service string, targets ...string) *sobek.Promise {
	return c.each(service, targets, c.chaos.Kill)
}

// Stop stops targets in an orderly way, all at once, and waits until the system
// is whole again.
func (c *chaos) Stop(service string, targets ...string) *sobek.Promise {
	return c.each(service, targets, c.chaos.Stop)
}

// recoverTime is how long a system may take to be whole again.
const recoverTime = time.Minute

func (c *chaos) each(service string, targets []string, do func(context.Context, string, string) error) *sobek.Promise {
	return c.i.async(func(ctx context.Context) (any, error) {
		if len(targets) == 0 {
			return nil, fmt.Errorf("which %s?", service)
		}
		ctx, cancel := context.WithTimeout(ctx, recoverTime)
		defer cancel()
		errs := make([]error, len(targets))
		var all sync.WaitGroup
		for i, target := range targets {
			all.Go(func() { errs[i] = do(ctx, service, target) })
		}
		all.Wait()
		return nil, errors.Join(errs...)
	})
}

// Pause stops a target for a time. It tells false where that is not possible.
func (c *chaos) Pause(target string, d sobek.Value) *sobek.Promise {
	limit, err := period(d)
	return c.i.async(func(ctx context.Context) (any, error) {
		if err != nil {
			return nil, err
		}
		err := c.chaos.Pause(ctx, target, limit)
		if errors.Is(err, faults.ErrUnsupported) {
			c.i.module.note(fmt.Sprintf("%s was not paused: %v", target, err))
			return false, nil
		}
		return true, err
	})
}

// RestartRedis kills Redis and waits until it is there again.
func (c *chaos) RestartRedis() *sobek.Promise {
	return c.i.async(func(ctx context.Context) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, recoverTime)
		defer cancel()
		found, err := c.chaos.Targets(ctx, faults.Redis)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, errors.New("there is no Redis to restart")
		}
		return nil, c.chaos.Kill(ctx, faults.Redis, found[0])
	})
}
