package store

import (
	"context"
	"fmt"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Append writes those operations of a batch to the log that it does not hold
// yet, in order, and publishes them. Either all of them are appended or none.
//
// at is the caller's epoch and the highest position that it has seen. When the
// epoch is another, nothing is appended and the error is a [*StaleError]; the
// same happens, and the epoch changes, when the log turns out to have lost its
// end. See the package comment for what the other errors say.
//
// A batch with an unknown outcome must be appended again, unchanged and before
// anything else of its sessions.
func (s *Store) Append(ctx context.Context, id string, at canvas.Position, ops []AppendOp) (appended *Appended, err error) {
	defer s.metrics.observe(opAppend, time.Now(), &err)
	if canvas.CheckID(id) != nil {
		return nil, ErrNotFound
	}
	batch, err := newBatch(keysOf(id), ops)
	if err != nil {
		return nil, err
	}
	s.metrics.batchBytes.Observe(float64(batch.bytes))

	args := []any{
		at.Epoch.String(), decimal(at.Seq), canvas.NewEpoch().String(), s.opt.LogCap,
		s.publish, keysOf(id).channel(), string([]byte{recordVersion}),
	}
	reply, err := s.admitted(ctx, id, "append", at, func() ([]string, error) {
		return s.run(ctx, appendScript, batch.keys, append(args[:len(args):len(args)], batch.args...)...)
	})
	if err != nil {
		return nil, err
	}
	if appended, err = batch.outcome(reply); err != nil {
		return nil, err
	}
	if reply[0] == "full" {
		return appended, fmt.Errorf("%w: %d entries", ErrLogFull, s.opt.LogCap)
	}
	return appended, nil
}

// Check compares the caller's position with the log as an append does, without
// appending, and returns where the log is now. Idle processes call it, so that
// a loss is noticed though nobody draws. Its errors are those of [Store.Append].
func (s *Store) Check(ctx context.Context, id string, at canvas.Position) (now canvas.Position, err error) {
	defer s.metrics.observe(opCheck, time.Now(), &err)
	if canvas.CheckID(id) != nil {
		return canvas.Position{}, ErrNotFound
	}
	candidate := canvas.NewEpoch().String()
	reply, err := s.admitted(ctx, id, "check", at, func() ([]string, error) {
		return s.run(ctx, checkScript, keysOf(id).state(), at.Epoch.String(), decimal(at.Seq), candidate)
	})
	if err != nil {
		return canvas.Position{}, err
	}
	return parsePosition(reply)
}

// batch is a batch in the form that append.lua takes.
type batch struct {
	sessions []protocol.Session // distinct, in the order of their keys
	keys     []string
	args     []any
	bytes    int
}

func newBatch(keys keysOf, ops []AppendOp) (*batch, error) {
	if len(ops) == 0 || len(ops) > MaxBatchOps {
		return nil, fmt.Errorf("%w: a batch of %d operations; 1 to %d are allowed", ErrInvalid, len(ops), MaxBatchOps)
	}
	b := &batch{keys: keys.state()}
	index := make(map[protocol.Session]int, len(ops))
	var ttls []int64 // ms
	payload := make([]any, 0, 3*len(ops))
	for i := range ops {
		o := &ops[i]
		if o.Op.Number == 0 || o.Op.Number > protocol.MaxNumber {
			return nil, fmt.Errorf("%w: an operation with the number %d; 1 to %d are allowed", ErrInvalid, o.Op.Number, uint64(protocol.MaxNumber))
		}
		ttl := o.TTL.Milliseconds()
		if ttl < 1 {
			return nil, fmt.Errorf("%w: a session that lives for %v; at least 1ms is needed", ErrInvalid, o.TTL)
		}
		n, known := index[o.Session]
		if !known {
			n = len(b.sessions)
			index[o.Session] = n
			b.sessions = append(b.sessions, o.Session)
			b.keys = append(b.keys, keys.session(o.Session))
			ttls = append(ttls, ttl)
		}
		ttls[n] = ttl // the last one counts
		encoded := o.Encoded
		if encoded == nil {
			encoded = EncodeOp(nil, &o.Op)
		}
		b.bytes += len(encoded)
		payload = append(payload, n+1, decimal(o.Op.Number), encoded)
	}
	if b.bytes > MaxBatchBytes {
		return nil, fmt.Errorf("%w: a batch of %d bytes; at most %d are allowed", ErrInvalid, b.bytes, MaxBatchBytes)
	}
	b.args = make([]any, 0, len(ttls)+len(payload))
	for _, ttl := range ttls {
		b.args = append(b.args, ttl)
	}
	b.args = append(b.args, payload...)
	return b, nil
}

// outcome reads a reply {status, epoch, head, first, count, time, sessions…}.
func (b *batch) outcome(reply []string) (*Appended, error) {
	if len(reply) != 6+2*len(b.sessions) {
		return nil, fmt.Errorf("%w: a reply of %d fields to an append", ErrMalformed, len(reply))
	}
	at, err := parsePosition(reply)
	if err != nil {
		return nil, err
	}
	numbers, err := parseNumbers(reply[3:])
	if err != nil {
		return nil, err
	}
	a := &Appended{
		Position: at, First: numbers[0], Count: int(numbers[1]), Time: int64(numbers[2]),
		Sessions: make(map[protocol.Session]SessionState, len(b.sessions)),
	}
	for i, session := range b.sessions {
		a.Sessions[session] = SessionState{Number: numbers[3+2*i], Seq: numbers[4+2*i]}
	}
	return a, nil
}
