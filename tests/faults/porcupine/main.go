// Judges histories of fault runs with Porcupine, a checker of linearizability.
//
//	go run . HISTORY.jsonl...
//
// docs/histories.md describes the format. Prints one line for each log, key and blob, and exits with 1
// if one of them is not linearizable, with 2 if a file cannot be read.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	lineBytesMax    = 64 << 20
	checkTimeoutMax = 2 * time.Minute
)

// Op is one line of a history. Return and Ok are null if the client never learned the outcome.
type Op struct {
	Client  string  `json:"client"`
	Op      string  `json:"op"`
	On      string  `json:"on"`
	Call    int64   `json:"call"`
	Return  *int64  `json:"return"`
	Ok      *bool   `json:"ok"`
	Id      string  `json:"id"`
	Expect  *int64  `json:"expect"`
	Seq     int64   `json:"seq"`
	From    string  `json:"from"`
	To      string  `json:"to"`
	Value   string  `json:"value"`
	Entries []Entry `json:"entries"`
}

// Entry is what a log holds in one place.
type Entry struct {
	Id  string `json:"id"`
	Seq int64  `json:"seq"`
}

func (op Op) unknown() bool { return op.Ok == nil }
func (op Op) ok() bool      { return op.Ok != nil && *op.Ok }

func main() {
	linearizable := true
	for _, path := range os.Args[1:] {
		histories, err := read(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		names := make([]string, 0, len(histories))
		for name := range histories {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			result := judge(histories[name])
			fmt.Printf("%s: %d operations: %s\n", name, len(histories[name]), result)
			linearizable = linearizable && result == "linearizable"
		}
	}
	if !linearizable {
		os.Exit(1)
	}
}

// read returns the operations of a file by what they are on.
func read(path string) (map[string][]Op, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	found := map[string][]Op{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, lineBytesMax)
	for lines.Scan() {
		var op Op
		if err := json.Unmarshal(lines.Bytes(), &op); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		found[op.On] = append(found[op.On], op)
	}
	return found, lines.Err()
}

func judge(ops []Op) string {
	model := register()
	switch ops[0].Op {
	case "append", "fenced", "read":
		var err string
		if model, ops, err = ordered(ops); err != "" {
			return err
		}
	}
	history := make([]porcupine.Operation, len(ops))
	for i, op := range ops {
		end := int64(math.MaxInt64)
		if op.Return != nil && !op.unknown() {
			end = *op.Return
		}
		history[i] = porcupine.Operation{Input: op, Output: op, Call: op.Call, Return: end}
	}
	switch porcupine.CheckOperationsTimeout(model, history, checkTimeoutMax) {
	case porcupine.Ok:
		return "linearizable"
	case porcupine.Unknown:
		return "not judged in time"
	}
	return "NOT linearizable"
}

// ordered is the model of an append-only log. Its state is how many entries the log has: the last
// `read`, after all writers ended, says which entry comes where, and whether an append without an
// answer was stored.
func ordered(ops []Op) (porcupine.Model, []Op, string) {
	var entries []Entry
	complete := false
	for _, op := range ops {
		if op.Op == "read" && op.ok() {
			entries, complete = op.Entries, true
		}
	}
	if !complete {
		return porcupine.Model{}, nil, "has no read at its end"
	}
	stored := map[string]int64{}
	for _, entry := range entries {
		stored[entry.Id] = entry.Seq
	}
	known := make([]Op, 0, len(ops))
	for _, op := range ops {
		if seq, there := stored[op.Id]; op.unknown() && op.Op == "append" && there {
			yes := true
			op.Ok, op.Seq, op.Return = &yes, seq, nil
		}
		if !op.unknown() { // what is not stored has changed nothing
			known = append(known, op)
		}
	}
	last := func(count int) int64 {
		if count == 0 {
			return 0
		}
		return entries[count-1].Seq
	}
	step := func(state, input, _ interface{}) (bool, interface{}) {
		count, op := state.(int), input.(Op)
		matches := op.Expect == nil || last(count) == *op.Expect
		switch op.Op {
		case "append":
			if !op.ok() {
				return !matches, count
			}
			next := count < len(entries) && entries[count].Id == op.Id && entries[count].Seq == op.Seq
			return matches && next, count + 1
		case "fenced":
			return matches == op.ok(), count
		}
		return len(op.Entries) == count, count
	}
	return porcupine.Model{Init: func() interface{} { return 0 }, Step: step}, known, ""
}

// register is the model of a key that is changed by compare-and-set, and of a blob, which is put once.
// Its state is the value, empty without one.
func register() porcupine.Model {
	step := func(state, input, _ interface{}) []interface{} {
		value, op := state.(string), input.(Op)
		from, changes := op.From, op.Op == "cas"
		if op.Op == "put" {
			changes = value == "" || value == op.To
			from = value
		}
		switch {
		case op.Op == "get" && op.unknown(), op.Op == "get" && value == op.Value:
			return []interface{}{value}
		case op.Op == "get":
			return nil
		case op.unknown() && changes && value == from:
			return []interface{}{value, op.To}
		case op.unknown():
			return []interface{}{value}
		case op.ok() && changes && value == from:
			return []interface{}{op.To}
		case !op.ok() && value != from:
			return []interface{}{value}
		}
		return nil
	}
	model := porcupine.NondeterministicModel{Init: func() []interface{} { return []interface{}{""} }, Step: step}
	return model.ToModel()
}
