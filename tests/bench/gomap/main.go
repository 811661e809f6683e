// Go's maps under map_bench's workload: the other side of tests/bench/map_compare.
//
// Keys `key:%010d` (14 bytes), values of 32 bytes that are copied in on a write and out on a read, because a server
// cannot keep the caller's memory. Three ways to share a map between goroutines: one map under an RWMutex, sync.Map,
// and 32 maps each under an RWMutex of its own. A burst is 256 operations between two looks at the stop flag; random
// numbers are the xorshift of map_bench, so that both programs ask for the same keys in the same order.
//
//	go run tests/bench/gomap/main.go -keys 1000000 -threads 8 -writes 0,50 -rounds 3 [-json]
package main

import (
	"flag"
	"fmt"
	"hash/maphash"
	"math"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	valueLen   = 32
	burst      = 256
	shardCount = 32
	zipfCount  = 1 << 20
)

// A keyspace says which key the next operation takes.
type keyspace struct {
	keys   []string
	choice string
	zipf   []uint32
}

type table interface {
	get(key string, out *[valueLen]byte)
	set(key string, value *[valueLen]byte)
}

type guarded struct {
	lock   sync.RWMutex
	values map[string][]byte
}

func (g *guarded) get(key string, out *[valueLen]byte) {
	g.lock.RLock()
	copy(out[:], g.values[key])
	g.lock.RUnlock()
}

func (g *guarded) set(key string, value *[valueLen]byte) {
	fresh := make([]byte, valueLen)
	copy(fresh, value[:])
	g.lock.Lock()
	g.values[key] = fresh
	g.lock.Unlock()
}

type synced struct{ values sync.Map }

func (s *synced) get(key string, out *[valueLen]byte) {
	if found, ok := s.values.Load(key); ok {
		copy(out[:], found.([]byte))
	}
}

func (s *synced) set(key string, value *[valueLen]byte) {
	fresh := make([]byte, valueLen)
	copy(fresh, value[:])
	s.values.Store(key, fresh)
}

// A shard fills cache lines of its own.
type shard struct {
	guarded
	_ [64]byte
}

type sharded struct {
	seed   maphash.Seed
	shards [shardCount]shard
}

func (s *sharded) of(key string) *shard {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = h.WriteString(key)
	return &s.shards[h.Sum64()%shardCount]
}

func (s *sharded) get(key string, out *[valueLen]byte)   { s.of(key).get(key, out) }
func (s *sharded) set(key string, value *[valueLen]byte) { s.of(key).set(key, value) }

func build(name string, size int) table {
	switch name {
	case "rwmutex":
		return &guarded{values: make(map[string][]byte, size)}
	case "syncmap":
		return &synced{}
	case "sharded32":
		s := &sharded{seed: maphash.MakeSeed()}
		for i := range s.shards {
			s.shards[i].values = make(map[string][]byte, size/shardCount)
		}
		return s
	}
	fail("-maps knows rwmutex, syncmap and sharded32, not " + name)
	return nil
}

func fail(what string) {
	fmt.Fprintln(os.Stderr, "gomap:", what)
	os.Exit(2)
}

func xorshift(x uint64) uint64 {
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	return x
}

// Gray et al., "Quickly generating billion-record synthetic databases": exponent 0.99, the frequent numbers scattered.
func zipfNumbers(count int) []uint32 {
	const theta = 0.99
	zeta, two := 0.0, 1+math.Pow(0.5, theta)
	for i := 1; i <= count; i++ {
		zeta += math.Pow(float64(i), -theta)
	}
	eta := (1 - math.Pow(2/float64(count), 1-theta)) / (1 - two/zeta)
	numbers, x := make([]uint32, zipfCount), uint64(88172645463325252)
	for i := range numbers {
		x = xorshift(x)
		u := float64(x>>11) / (1 << 53)
		rank := uint64(0)
		switch uz := u * zeta; {
		case uz < 1:
		case uz < two:
			rank = 1
		default:
			rank = uint64(float64(count) * math.Pow(eta*u-eta+1, 1/(1-theta)))
		}
		if rank >= uint64(count) {
			rank = uint64(count) - 1
		}
		numbers[i] = uint32(rank * 2654435761 % uint64(count))
	}
	return numbers
}

// One goroutine's part of a round: the number of operations done.
func work(t table, space *keyspace, index, writes int, stop *atomic.Bool) (ops int64) {
	var value, out [valueLen]byte
	x, place, count := uint64(index+1)*0x9E3779B97F4A7C15, index*131071, uint64(len(space.keys))
	for i := range value {
		value[i] = 'x'
	}
	for !stop.Load() {
		for i := 0; i < burst; i++ {
			x = xorshift(x)
			key := ""
			switch space.choice {
			case "uniform":
				key = space.keys[x%count]
			case "zipf":
				key = space.keys[space.zipf[place%zipfCount]]
				place++
			default:
				key = space.keys[0]
			}
			if int((x>>32)%100) < writes {
				t.set(key, &value)
			} else {
				t.get(key, &out)
			}
		}
		ops += burst
	}
	return ops
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// Nanoseconds per operation, wall and processor.
func round(t table, space *keyspace, threads, writes int, length time.Duration) (wall, cpu float64) {
	var ops atomic.Int64
	var stop atomic.Bool
	var all sync.WaitGroup
	cpuStart, start := cpuTime(), time.Now()
	all.Add(threads)
	for i := 0; i < threads; i++ {
		go func(index int) {
			defer all.Done()
			ops.Add(work(t, space, index, writes, &stop))
		}(i)
	}
	time.Sleep(length)
	stop.Store(true)
	all.Wait()
	done := float64(ops.Load())
	return float64(time.Since(start).Nanoseconds()) / done, float64((cpuTime() - cpuStart).Nanoseconds()) / done
}

func median(values []float64) float64 {
	sort.Float64s(values)
	return values[len(values)/2]
}

func numbers(text string) (list []int) {
	for _, word := range strings.Split(text, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 0 {
			fail("not a list of numbers: " + text)
		}
		list = append(list, n)
	}
	return list
}

func main() {
	keyCount := flag.Int("keys", 100000, "number of keys")
	threadList := flag.String("threads", "8", "goroutines, a list")
	writeList := flag.String("writes", "0,5,50,100", "per cent of the operations, a list")
	mapList := flag.String("maps", "rwmutex,syncmap,sharded32", "which maps")
	choice := flag.String("choice", "uniform", "uniform, zipf or one")
	seconds := flag.Float64("seconds", 0.5, "of a round")
	rounds := flag.Int("rounds", 3, "of which the median is printed")
	asJSON := flag.Bool("json", false, "an object a line")
	flag.Parse()
	if *keyCount < 1 || *rounds < 1 || *seconds <= 0 {
		fail("-keys, -rounds and -seconds must be larger than 0")
	}

	space := &keyspace{keys: make([]string, *keyCount), choice: *choice}
	for i := range space.keys {
		space.keys[i] = fmt.Sprintf("key:%010d", i)
	}
	if *choice == "zipf" {
		space.zipf = zipfNumbers(*keyCount)
	}
	for _, name := range strings.Split(*mapList, ",") {
		t, value := build(name, *keyCount), [valueLen]byte{}
		for _, key := range space.keys {
			t.set(key, &value)
		}
		for _, threads := range numbers(*threadList) {
			for _, writes := range numbers(*writeList) {
				var walls, cpus []float64
				length := time.Duration(*seconds * float64(time.Second))
				round(t, space, threads, writes, length/4) // not counted, as in map_bench
				for i := 0; i < *rounds; i++ {
					wall, cpu := round(t, space, threads, writes, length)
					walls, cpus = append(walls, wall), append(cpus, cpu)
				}
				form := "%-10s keys %8d  %-7s threads %2d  writes %3d%%  %8.1f ns wall  %8.1f ns cpu\n"
				if *asJSON {
					form = `{"table":"speed","map":"%s","keys":%d,"choice":"%s","threads":%d,"writes_pct":%d,` +
						`"wall_ns":%.1f,"cpu_ns":%.1f}` + "\n"
				}
				fmt.Printf(form, name, *keyCount, *choice, threads, writes, median(walls), median(cpus))
			}
		}
	}
}
