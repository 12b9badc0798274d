package protocol

// Measure is what a [Telemetry] message tells of.
type Measure uint8

// Measures.
const (
	// MeasureLatency is the time from starting an operation to seeing it come
	// back in the canvas's order: in a page, from the click to the paint.
	MeasureLatency Measure = 1
	// MeasureRecovery is the time from losing a connection to having caught up
	// on another one.
	MeasureRecovery Measure = 2
)

// Vantage is from where a [Telemetry] message was measured. It is what the
// client says of itself.
type Vantage uint8

// Vantages.
const (
	VantageBrowser Vantage = 0 // the page
	VantageK6      Vantage = 1 // a load test
	VantageProber  Vantage = 2 // a synthetic client that always runs
	VantageOther   Vantage = 3 // another program
)

var measureNames = map[Measure]string{MeasureLatency: "latency", MeasureRecovery: "recovery"}

var vantageNames = [...]string{"browser", "k6", "prober", "other"}

// Vantages returns all vantages, for histograms that want their children early.
func Vantages() []Vantage {
	return []Vantage{VantageBrowser, VantageK6, VantageProber, VantageOther}
}

// String returns the name in the JSON codec and in metrics.
func (v Vantage) String() string {
	if int(v) < len(vantageNames) {
		return vantageNames[v]
	}
	return "unknown"
}

// String returns the name in the JSON codec and in metrics.
func (m Measure) String() string {
	if n, ok := measureNames[m]; ok {
		return n
	}
	return "unknown"
}

// valid tells whether this version knows the measure and the vantage.
func (t Telemetry) valid() bool {
	_, known := measureNames[t.Measure]
	return known && int(t.Vantage) < len(vantageNames)
}

// kind is the byte of the binary codec that says both: the measure in the lower
// four bits, the vantage in the upper four.
func (t Telemetry) kind() byte { return byte(t.Vantage)<<4 | byte(t.Measure) }

func telemetryOf(kind byte, millis uint32) Telemetry {
	return Telemetry{Measure: Measure(kind & 0x0F), Vantage: Vantage(kind >> 4), Millis: millis}
}

// decodeJSONTelemetry reads
// {"type":"telemetry","kind":"latency","millis":258,"vantage":"browser"}; the
// vantage may be missing.
func decodeJSONTelemetry(object *jsonObject) (ClientMessage, error) {
	kind, isKind := jsonString(object.measure)
	millis, isTime := jsonInteger(object.millis)
	if !isKind || !isTime || millis < 0 || millis > 1<<32-1 {
		return nil, &Refusal{Code: CodeInvalidFormat}
	}
	t := Telemetry{Millis: uint32(millis)}
	for m, name := range measureNames {
		if name == kind {
			t.Measure = m
		}
	}
	if object.vantage != nil {
		name, isName := jsonString(object.vantage)
		if !isName {
			return nil, &Refusal{Code: CodeInvalidFormat}
		}
		t.Vantage = Vantage(len(vantageNames))
		for v, n := range vantageNames {
			if n == name {
				t.Vantage = Vantage(v)
			}
		}
	}
	if !t.valid() {
		return nil, &Refusal{Code: CodeUnsupported}
	}
	return t, nil
}
