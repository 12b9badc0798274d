// Package archive keeps pictures of canvases in files, and compares them with
// what Redis holds: backups, restores and audits, while the system runs.
//
//   - [Load] reads a canvas as the services do, checkpoint and then log, at one
//     head, and writes nothing; [Audit] does so too and checks on the way
//     whatever can be checked.
//   - [Write] and [Read] know the form of the file; [Save] and [Open] the file.
//   - [Restore] brings a file's picture onto a canvas, through the log as any
//     writer.
//
// # The file
//
// Two lines of text, the tiles, and a checksum of everything:
//
//	pixel-canvas-archive 1
//	{"id":"…","canvas":"main","width":50,"height":50,"background":"#FFFFFF", … }
//	tile × n   number   4 bytes, little-endian as all that follow; ascending
//	           length   4 bytes, of the data
//	           checksum 4 bytes, the CRC-32C of the data
//	           data     the tile's cells, three bytes each, row by row,
//	                    compressed with DEFLATE (RFC 1951)
//	end        4 bytes, all ones
//	checksum   32 bytes, the SHA-256 of everything before it
//
// Tiles are those of [canvas.Grid]: 256×256 cells, counted row by row, cut off
// at the right and lower edge. One that is missing has the background's colour.
// The header tells:
//
//	id          32 hexadecimal digits, random: another file, another id
//	canvas      of which the picture is
//	width, height, background
//	epoch, seq  the position at which the canvas looked so
//	hash        of the picture ([canvas.Frozen.Hash]), 16 hexadecimal digits
//	time        of the last operation in it, absent when there is none
//	exported    when the file was written
//
// Nothing may follow the checksum. So a byte that changed, wherever it stands,
// and an end that is missing, wherever it was cut off, are noticed before
// anything of the file is used.
package archive
