package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/archive"
	"github.com/cloud-pixel/playground/services/internal/config"
	pixelstore "github.com/cloud-pixel/playground/services/internal/store"
)

// Exit codes of the canvas commands.
const (
	exitGood  = 0
	exitFault = 1 // something is not as it must be: a file, a canvas, or both together
	exitError = 2 // it could not be done: a wrong command, no such file or canvas, no Redis
)

const canvasUsage = `Back up, restore and audit a canvas while the system runs.

  playground canvas export FILE   write what the canvas looks like now to a file
  playground canvas import FILE   draw a file's picture on a canvas that is blank or does not exist
  playground canvas verify [FILE] check all that Redis holds of the canvas, and the file against it

FILE can be - for the standard output (export) or input (import, verify).
Redis is the one that the services would use: REDIS_URL, or REDIS_HOST and
REDIS_PORT, in the environment; or that of -redis.

The exit code is 0 when all is well, 1 when a file or canvas is not as it must
be, 2 when it could not be found out: a wrong command, no such file, no Redis.
`

// terminal is where a command reads and writes, and its environment.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) (string, bool)
}

// say prints a line for people. When even that fails there is nobody to tell.
func (t terminal) say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format+"\n", args...)
}

// canvasCommand is a command on a canvas.
type canvasCommand struct {
	terminal
	id      string
	redis   string
	file    string // empty: none
	force   bool   // export: replace the file
	replace bool   // import: replace what is drawn

	store *pixelstore.Store
	where string // Redis is, without secrets
	max   int    // canvases
}

// runCanvas runs `playground canvas` with the arguments behind that, and
// returns the exit code.
func runCanvas(ctx context.Context, args []string, t terminal) int {
	run, c, err := parseCanvas(args, t)
	if errors.Is(err, flag.ErrHelp) {
		return exitGood
	}
	if err == nil {
		err = c.with(ctx, run)
	}
	if err == nil {
		return exitGood
	}
	t.say(t.err, "playground: %v", err)
	for _, fault := range []error{
		errFaults, archive.ErrForeign, archive.ErrVersion, archive.ErrDamaged, archive.ErrBroken, archive.ErrDifferent,
		pixelstore.ErrVersion, pixelstore.ErrMalformed, pixelstore.ErrCorrupt,
	} {
		if errors.Is(err, fault) {
			return exitFault
		}
	}
	return exitError
}

func parseCanvas(args []string, t terminal) (func(*canvasCommand, context.Context) error, *canvasCommand, error) {
	if len(args) == 0 {
		_, _ = io.WriteString(t.err, canvasUsage)
		return nil, nil, errors.New("export, import or verify?")
	}
	c := &canvasCommand{terminal: t}
	f := flag.NewFlagSet("playground canvas "+args[0], flag.ContinueOnError)
	f.SetOutput(t.err)
	f.StringVar(&c.id, "id", config.MainCanvas, "`name` of the canvas")
	f.StringVar(&c.redis, "redis", "", "`URL` of Redis; one with a password belongs in the environment variable REDIS_URL")
	f.Usage = func() {
		_, _ = io.WriteString(t.err, canvasUsage+"\nFlags of "+args[0]+":\n\n")
		f.PrintDefaults()
	}
	var run func(*canvasCommand, context.Context) error
	switch args[0] {
	case "export":
		f.BoolVar(&c.force, "force", false, "replace the file if it exists")
		run = (*canvasCommand).export
	case "import":
		f.BoolVar(&c.replace, "replace", false, "replace what is drawn on the canvas")
		run = (*canvasCommand).restore
	case "verify":
		run = (*canvasCommand).verify
	case "-h", "-help", "--help", "help":
		_, _ = io.WriteString(t.err, canvasUsage)
		return nil, nil, flag.ErrHelp
	default:
		return nil, nil, fmt.Errorf("canvas %q is none of export, import, verify", args[0])
	}
	// Flags may stand before and behind the file.
	for rest := args[1:]; ; {
		if err := f.Parse(rest); err != nil {
			return nil, nil, err
		}
		if f.NArg() == 0 {
			break
		}
		if c.file != "" {
			return nil, nil, fmt.Errorf("one file is enough: %q or %q?", c.file, f.Arg(0))
		}
		c.file, rest = f.Arg(0), f.Args()[1:]
	}
	if c.file == "" && args[0] != "verify" {
		return nil, nil, fmt.Errorf("canvas %s needs a file, or - for none", args[0])
	}
	if err := canvas.CheckID(c.id); err != nil {
		return nil, nil, fmt.Errorf("-id %q: %w", c.id, err)
	}
	return run, c, checkRedisFlag(c.redis)
}

// checkRedisFlag refuses what others could read on the command line. Empty is
// fine.
func checkRedisFlag(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "redis" && u.Scheme != "rediss" {
		return errors.New("-redis is not a URL like redis://host:6379")
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		return errors.New("-redis has a password in it, which others can read on the command line; set REDIS_URL in the environment instead")
	}
	return nil
}

// leastTimeout is what a reply of Redis may take at least, whatever services
// are content with: a whole canvas comes in one.
const leastTimeout = 10 * time.Second

// with runs a command on an open store.
func (c *canvasCommand) with(ctx context.Context, run func(*canvasCommand, context.Context) error) (err error) {
	env := c.env
	if c.redis != "" {
		env = lookupIn([]string{"REDIS_URL=" + c.redis, "REDIS_URL_FILE="}, env)
	}
	r := config.NewReader(env)
	redis, canvases := config.RedisFrom(r), config.CanvasesFrom(r)
	most := r.Int64("LOG_MAX_ENTRIES", 1_000_000, "", config.Min(int64(1)))
	if err := r.Err(); err != nil {
		return &settingsError{err}
	}
	c.where, c.max = redis.String(), canvases.Max
	c.store, err = pixelstore.Open(pixelstore.Options{
		URL: redis.URL, Username: redis.Username, Password: redis.Password, LogCap: most,
		DialTimeout: redis.DialTimeout, ReadTimeout: max(redis.Timeout, leastTimeout), WriteTimeout: max(redis.Timeout, leastTimeout),
		Logger: slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.store.Close()) }()
	if err := c.store.Ping(ctx); err != nil {
		return fmt.Errorf("no usable Redis at %s (REDIS_URL or -redis names another): %w", c.where, err)
	}
	return c.named(run(c, ctx))
}

// named says of which canvas an error is that does not tell.
func (c *canvasCommand) named(err error) error {
	if !errors.Is(err, pixelstore.ErrNotFound) {
		return err
	}
	return fmt.Errorf("there is no canvas %q in Redis at %s", c.id, c.where)
}

// open reads the file, or the standard input.
func (c *canvasCommand) open() (*archive.Archive, error) {
	if c.file == "-" {
		return archive.Read(c.in)
	}
	a, err := archive.Open(c.file)
	if errors.Is(err, fs.ErrNotExist) || err == nil {
		return a, err
	}
	if strings.Contains(err.Error(), c.file) {
		return nil, err
	}
	return nil, fmt.Errorf("%s: %w", c.file, err)
}
