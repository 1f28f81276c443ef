package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// needs says at once all that is missing, each with how to get it.
func (c *cluster) needs() error {
	var errs []error
	program := func(name, how string) {
		if _, err := exec.LookPath(name); err != nil {
			errs = append(errs, fmt.Errorf("%s is missing: %s", name, how))
		}
	}
	file := func(path, what, how string) {
		if _, err := os.Stat(path); err != nil || path == "" {
			errs = append(errs, fmt.Errorf("%s is missing: %s", what, how))
		}
	}
	program("java", "install a Java 17 runtime (package openjdk-17-jre-headless on Debian)")
	program("nginx", "install nginx (package nginx on Debian)")
	program("prometheus", "install Prometheus (package prometheus on Debian)")
	file(c.jars(), "Apache Kafka", "run make cluster, or python3 ops/parts/fetch.py --with kafka")
	file(c.apicurio(), "the schema registry", "run make cluster, or python3 ops/parts/fetch.py --with apicurio")
	file(filepath.Join(c.cache, "parts", "libchdb.so"), "ClickHouse's engine", "run make parts")
	file(c.bin("docstream"), "bin/docstream", "run make build")
	file(c.bin("docstream-parts"), "bin/docstream-parts", "run make build")
	return errors.Join(errs...)
}

// cacheDir is where fetched parts lie.
func cacheDir() (string, error) {
	if dir := os.Getenv("DOCSTREAM_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "docstream"), err
}

// repositoryRoot is the folder above that has the compose file.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, composeFile)); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	return "", errors.Join(err, fmt.Errorf("no %s above this folder", composeFile))
}
