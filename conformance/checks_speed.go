package conformance

import (
	"context"
	"slices"
	"time"

	"github.com/woodpecker-wal/woodpecker/backends"
)

const speedGroup = "speed"

var speedChecks = []Check{
	{
		ID: "perf.put-get", Group: speedGroup, Feature: Speed, Level: Info,
		Promise: "How long creates and gets take is recorded.",
		Why:     "A lone append waits for one create.",
		How:     "Creates and reads objects of 4 KiB and 1 MiB one after the other.",
		Failing: "nothing",
		Run: func(ctx context.Context, e *Env) Finding {
			f := Passed(1)
			for _, size := range []int{4 << 10, 1 << 20} {
				n := min(e.Profile.Trials, 50)
				if size > 1<<16 {
					n = min(n, 10)
				}
				var puts, gets []time.Duration
				for range n {
					key, body := e.Key("timed"), e.Body(size)
					start := time.Now()
					if _, err := e.Raw(0).Put(ctx, key, body, backends.IfAbsent()); err == nil {
						puts = append(puts, time.Since(start))
					}
					start = time.Now()
					if _, _, err := backends.ReadAll(ctx, e.Raw(0), key, backends.All()); err == nil {
						gets = append(gets, time.Since(start))
					}
				}
				f.Perf = append(f.Perf, perfOf("create", size, puts)...)
				f.Perf = append(f.Perf, perfOf("get", size, gets)...)
			}
			return f
		},
	},
}

// perfOf summarises samples of one kind; nothing if there are none.
func perfOf(op string, size int, d []time.Duration) []Perf {
	if len(d) == 0 {
		return nil
	}
	slices.Sort(d)
	var sum time.Duration
	for _, x := range d {
		sum += x
	}
	ms := func(q float64) float64 {
		i := min(int(q*float64(len(d))), len(d)-1)
		return float64(d[i].Microseconds()) / 1000
	}
	return []Perf{{Op: op, Size: int64(size), Concurrency: 1, N: len(d), P50: ms(0.5), P90: ms(0.9), P99: ms(0.99), Max: ms(1),
		MiBs: float64(size*len(d)) / (1 << 20) / max(sum.Seconds(), 1e-9)}}
}
