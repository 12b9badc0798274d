package config

// Telemetry is what the standard variables of OpenTelemetry say about what to
// export. All further ones (headers, certificates, time-outs, batch sizes, limits
// of spans) are read by the SDK itself.
type Telemetry struct {
	// Traces and Logs are exported.
	Traces, Logs bool
	// Sampler is a value of OTEL_TRACES_SAMPLER, Ratio its argument, 0 to 1.
	Sampler string
	Ratio   float64
}

// TelemetryFrom reads OTEL_SDK_DISABLED, the endpoints of OTLP, the exporters and
// the sampler.
func TelemetryFrom(r *Reader) Telemetry {
	endpoint := r.String("OTEL_EXPORTER_OTLP_ENDPOINT", "", "Where traces and logs are sent by OTLP, as http://collector:4318. Empty: nowhere. This and all other variables of OpenTelemetry's specification mean what it says.")
	traces := r.String("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", "The same for traces alone, with the path (http://collector:4318/v1/traces).")
	logs := r.String("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "", "The same for logs alone.")
	protocols := []string{"grpc", "http/protobuf"}
	r.OneOf("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "Form of OTLP: grpc is mostly at port 4317, http/protobuf at 4318.", protocols...)
	tracesExporter := r.OneOf("OTEL_TRACES_EXPORTER", "otlp", "Exporter of traces. console writes to the standard output.", "otlp", "console", "none")
	logsExporter := r.OneOf("OTEL_LOGS_EXPORTER", "otlp", "Exporter of logs, beside the standard error.", "otlp", "console", "none")
	disabled := r.Bool("OTEL_SDK_DISABLED", false, "Exports nothing.")
	t := Telemetry{
		Sampler: r.OneOf("OTEL_TRACES_SAMPLER", "parentbased_always_on", "Which operations and requests are traced that come without a trace context, or (not parentbased) all.",
			"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"),
		Ratio: r.Float("OTEL_TRACES_SAMPLER_ARG", 1, "Share of traces that the traceidratio samplers choose, 0 to 1.", Between(0.0, 1.0)),
	}
	exports := func(exporter, endpoints string) bool {
		return !disabled && (exporter == "console" || exporter == "otlp" && endpoints != "")
	}
	t.Traces, t.Logs = exports(tracesExporter, endpoint+traces), exports(logsExporter, endpoint+logs)
	return t
}
