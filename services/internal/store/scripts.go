package store

import (
	"crypto/sha256"
	_ "embed" // the scripts
	"encoding/hex"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/cloud-pixel/playground/services/protocol"
)

// The scripts, one atomic step each; what each does is said at its beginning.
var (
	//go:embed lua/state.lua
	stateLua string
	//go:embed lua/append.lua
	appendLua string
	//go:embed lua/check.lua
	checkLua string
	//go:embed lua/epoch.lua
	epochLua string
	//go:embed lua/create.lua
	createLua string
	//go:embed lua/register.lua
	registerLua string
	//go:embed lua/checkpoint.lua
	checkpointLua string
	//go:embed lua/trim.lua
	trimLua string
	//go:embed lua/lease.lua
	leaseLua string
	//go:embed lua/release.lua
	releaseLua string
	//go:embed lua/seen.lua
	seenLua string
)

var (
	appendScript     = redis.NewScript(stateLua + appendLua)
	checkScript      = redis.NewScript(stateLua + checkLua)
	epochScript      = redis.NewScript(stateLua + epochLua)
	createScript     = redis.NewScript(stateLua + createLua)
	checkpointScript = redis.NewScript(stateLua + checkpointLua)
	trimScript       = redis.NewScript(stateLua + trimLua)
	registerScript   = redis.NewScript(registerLua)
	leaseScript      = redis.NewScript(leaseLua)
	releaseScript    = redis.NewScript(releaseLua)
	seenScript       = redis.NewScript(seenLua)
)

// Keys that belong to no single canvas.
const (
	canvasesKey = "canvases"
	activeKey   = "active-canvases"
	podsKey     = "pods"
)

func podKey(pod string) string { return "pod:" + pod + ":users" }

// keysOf names the keys of one canvas. The hash tag puts them into one slot of
// a Cluster.
type keysOf string

func (id keysOf) tag() string        { return "{canvas:" + string(id) + "}" }
func (id keysOf) meta() string       { return id.tag() + ":meta" }
func (id keysOf) head() string       { return id.tag() + ":head" }
func (id keysOf) log() string        { return id.tag() + ":log" }
func (id keysOf) checkpoint() string { return id.tag() + ":checkpoint" }
func (id keysOf) lease() string      { return id.tag() + ":lease" }

// session is the key of a session's state. Keys show in slow logs, monitors and
// dumps, so the secret does not stand in it but a hash of its own, which is
// longer than the public author's tag and not told to anybody.
func (id keysOf) session(s protocol.Session) string {
	sum := sha256.Sum256(append([]byte("pixel session key"), s[:]...))
	return id.tag() + ":session:" + hex.EncodeToString(sum[:16])
}
func (id keysOf) channel() string { return "pixel-updates:" + id.tag() }
func (id keysOf) cursors() string { return "cursors:" + id.tag() }

// state are the keys of the scripts that begin with state.lua.
func (id keysOf) state() []string {
	return []string{id.meta(), id.head(), id.log(), id.checkpoint()}
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }
