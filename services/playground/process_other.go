//go:build !unix

package main

import "syscall"

func processAttributes() *syscall.SysProcAttr { return nil }
