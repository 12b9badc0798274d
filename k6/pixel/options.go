package pixel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
	"github.com/grafana/sobek"
	"go.k6.io/k6/js/common"

	"github.com/cloud-pixel/playground/k6/fanout"
	"github.com/cloud-pixel/playground/services/client"
)

// decode reads a script's options into a struct, and refuses names that it does
// not know: a misspelt option must not be a silent default.
func decode(v sobek.Value, into any) error {
	if common.IsNullish(v) {
		return nil
	}
	text, err := json.Marshal(v.Export())
	if err != nil {
		return fmt.Errorf("options: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("options: %w", err)
	}
	return nil
}

// duration is written in a script as a number of milliseconds or as text like
// "1.5s".
type duration time.Duration

func (d *duration) UnmarshalJSON(text []byte) error {
	var words string
	if json.Unmarshal(text, &words) == nil {
		parsed, err := time.ParseDuration(words)
		*d = duration(parsed)
		return check(err, parsed)
	}
	var ms float64
	if err := json.Unmarshal(text, &ms); err != nil {
		return fmt.Errorf("%s is no time: give milliseconds, or text like \"1.5s\"", text)
	}
	*d = duration(ms * float64(time.Millisecond))
	return check(nil, time.Duration(*d))
}

func check(err error, d time.Duration) error {
	if err == nil && d < 0 {
		err = fmt.Errorf("a time of %v is negative", d)
	}
	return err
}

// period reads a duration that stands alone.
func period(v sobek.Value) (time.Duration, error) {
	var d duration
	if common.IsNullish(v) {
		return 0, nil
	}
	text, err := json.Marshal(v.Export())
	if err != nil {
		return 0, err
	}
	err = d.UnmarshalJSON(text)
	return time.Duration(d), err
}

// urls is one address or a list.
type urls []string

func (u *urls) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*u = urls{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(u))
}

// backoff between attempts to connect; see [client.Backoff].
type backoff struct {
	Min, Max duration
}

// connectOptions are those of connect and, with more, of swarm; index.d.ts
// tells what each means.
type connectOptions struct {
	API         string
	Codec       string
	Canvas      string
	Name        string
	Resume      *bool
	Repair      *bool
	Grid        *bool
	Traceparent bool
	Backoff     backoff
	JoinTimeout duration
}

// fanout returns the options of a group.
func (i *instance) fanout(to urls, o *connectOptions) (fanout.Options, error) {
	f := fanout.Options{
		URLs: to, API: o.API, Canvas: o.Canvas, NoResume: o.Resume != nil && !*o.Resume, Witness: o.Repair != nil && !*o.Repair,
		NoGrid: o.Grid != nil && !*o.Grid, Trace: o.Traceparent, JoinTimeout: time.Duration(o.JoinTimeout),
		Backoff: client.Backoff{Min: time.Duration(o.Backoff.Min), Max: time.Duration(o.Backoff.Max)},
		Dialer:  i.dialer(),
		// One connection for each picture: no client is favoured by another's.
		HTTPClient: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
			DialContext: i.vu.State().Dialer.DialContext, TLSClientConfig: i.vu.State().TLSConfig, DisableKeepAlives: true,
		}},
	}
	switch o.Codec {
	case "binary", "":
	case "json":
		f.Codec = client.JSON
	default:
		return f, fmt.Errorf("codec is %q, not binary or json", o.Codec)
	}
	if len(to) == 0 {
		return f, errors.New("no url to connect to")
	}
	return f, nil
}

// dialer opens connections as k6 is told to: by its hosts, blocked addresses,
// certificates, and so that it counts their bytes (data_sent, data_received).
// It shares its small buffers among all connections.
func (i *instance) dialer() *websocket.Dialer {
	state := i.vu.State()
	return &websocket.Dialer{
		NetDialContext: state.Dialer.DialContext, TLSClientConfig: state.TLSConfig,
		HandshakeTimeout: 10 * time.Second, ReadBufferSize: 1 << 10, WriteBufferSize: 4 << 10, WriteBufferPool: &writeBuffers,
	}
}
