// Package config reads a program's settings from the environment.
//
// A [Reader] hands out typed values with defaults. A mistake does not stop the
// reading: the default stands in, the mistake is kept, and [Reader.Err] tells
// all of them at once, naming the variable and its value, so that one start is
// enough to find every wrong setting. Values of secrets never appear, neither
// in an error nor in what the types of this package print.
//
// The reader remembers each variable that was asked for, with its type,
// default and meaning; [Table] makes the documentation of it, which therefore
// cannot disagree with the code.
//
// Only what several services share is declared here ([RedisFrom],
// [CanvasesFrom], [LogFrom], [ListenFrom]); a variable that one service alone
// knows is declared by the OptionsFrom of that service.
package config
