// Package backends promises one narrow, honest contract over every storage a
// write-ahead log can stand on, in which create-if-absent is the first-class
// write.
//
// # The contract
//
// A [Store] holds objects: byte strings under keys. It has five verbs: put,
// get, head, list and delete. Everything a log needs for its safety follows
// from four promises, which every Store must keep:
//
//   - Atomic create. Of any number of concurrent Puts with [IfAbsent] on one
//     key, exactly one succeeds, and the object holds the winner's bytes for as
//     long as it exists. The condition is decided when the object becomes
//     visible, not when the request begins: a writer that stalled in the middle
//     of its body loses to one that finished meanwhile.
//   - Whole or absent. A reader sees an object complete or not at all. A Put
//     that was cut off never becomes visible in part.
//   - Read after write. Once a Put or a Delete has been acknowledged, every Get,
//     Head and List, from any client, sees it.
//   - Durable before acknowledged. What a successful Put stored survives the
//     death of the process and of the machine it ran on.
//
// A Store may leave open: whether it supports [IfVersion] (some cannot; they
// answer [Unsupported]), what a [Version] looks like, whether equal bytes give
// equal versions, and every optional ability below.
//
// # Conditions
//
// Put takes its [Condition] as a required argument, so that an overwrite is
// always written down by whoever wants one. A Store must never drop a condition:
// where it cannot carry one it answers Unsupported and writes nothing.
//
// # Outcomes
//
// Every error of a Store has one [Class], which says what to do next. Two of
// them deserve care. [Ambiguous] means the write may or may not have taken
// effect, or may still do so later; [Exists] means that somebody's object is
// there, and after any earlier attempt that somebody may be the caller. A Store
// therefore makes exactly one attempt at each conditional write, and [Retry] is
// the only place where attempts are repeated and unknown outcomes are settled,
// by reading back the nonce that the object itself carries.
//
// # Keys
//
// A key is 1 to [MaxKeyLen] bytes of valid UTF-8 made of components joined by
// "/"; no component is empty, "." or "..", and no byte is a control character.
// No key may be another key followed by "/…" where portability matters: files
// and some object stores cannot hold both. [CheckKey] is the rule as code.
//
// # Optional abilities
//
// Some stores can do more; each ability is an interface that a caller asserts,
// through the helper that falls back to Unsupported: [Appender], [Versioner],
// [ConditionalDeleter]. Wrappers forward them on purpose.
package backends
