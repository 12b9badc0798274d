package main

import (
	"context"
	"net"

	"github.com/cloud-pixel/playground/services/internal/api"
	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/frontend"
	"github.com/cloud-pixel/playground/services/internal/gateway"
)

// services in the order in which they are stopped: gateways end their
// connections while everything else still answers.
var services = []service{
	{
		name: "gateway",
		prepare: func(r *config.Reader, ready func(addr, debug net.Addr)) func(context.Context) error {
			o := gateway.OptionsFrom(r)
			o.OnReady = ready
			return func(ctx context.Context) error { return gateway.Run(ctx, o) }
		},
	},
	{
		name: "api",
		prepare: func(r *config.Reader, ready func(addr, debug net.Addr)) func(context.Context) error {
			o := api.OptionsFrom(r)
			o.OnReady = ready
			return func(ctx context.Context) error { return api.Run(ctx, o) }
		},
		links: []link{{"canvas", "/api/canvas"}, {"api", "/api/openapi.json"}},
	},
	{
		name: "frontend",
		prepare: func(r *config.Reader, ready func(addr, debug net.Addr)) func(context.Context) error {
			o := frontend.OptionsFrom(r)
			o.OnReady = ready
			return func(ctx context.Context) error { return frontend.Run(ctx, o) }
		},
	},
}
