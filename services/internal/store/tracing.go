package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.opentelemetry.io/otel/trace"
)

// traceCommands makes spans of the commands that are sent within a sampled span,
// by redisotel, and of no others: not of the looks at the log that nobody asked
// for, not of the subscription loop. It returns what ends it.
//
// The hook of redisotel cannot be told to look at the context; it makes a span,
// and allocates, for each command. So it is given a client of its own that is
// connected to nothing. A command of a sampled span takes the way through that
// client and its hook, whose next step is the real one; every other command goes
// on as if there were no hook.
func traceCommands(client redis.UniversalClient, tp trace.TracerProvider) (end func() error, err error) {
	o := &redis.Options{
		Addr:                     "unused",
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if c, ok := client.(*redis.Client); ok {
		o.Network, o.Addr = c.Options().Network, c.Options().Addr // attributes of the spans
	}
	detour := redis.NewClient(o)
	err = redisotel.InstrumentTracing(detour, redisotel.WithTracerProvider(tp),
		// What people draw and who they are would stand in the statement.
		redisotel.WithDBStatement(false), redisotel.WithCallerEnabled(false))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: tracing: %w", err), detour.Close())
	}
	detour.AddHook(goOn{})
	client.AddHook(whenSampled{detour})
	return detour.Close, nil
}

// whenSampled is the real client's hook.
type whenSampled struct{ detour *redis.Client }

func (h whenSampled) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h whenSampled) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !trace.SpanContextFromContext(ctx).IsSampled() {
			return next(ctx, cmd)
		}
		return h.detour.Process(context.WithValue(ctx, nextStep{}, next), cmd)
	}
}

func (h whenSampled) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if !trace.SpanContextFromContext(ctx).IsSampled() {
			return next(ctx, cmds)
		}
		ctx = context.WithValue(ctx, nextStep{}, next)
		pipe := h.detour.Pipeline()
		for _, cmd := range cmds {
			_ = pipe.Process(ctx, cmd) // it only joins the queue
		}
		_, err := pipe.Exec(ctx)
		return err
	}
}

// nextStep is the key of the real client's next step.
type nextStep struct{}

// goOn is the last hook of the detour: back to the real client.
type goOn struct{}

func (goOn) DialHook(next redis.DialHook) redis.DialHook { return next }

func (goOn) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return ctx.Value(nextStep{}).(redis.ProcessHook)(ctx, cmd)
	}
}

func (goOn) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return ctx.Value(nextStep{}).(redis.ProcessPipelineHook)(ctx, cmds)
	}
}
