// Package prometheus holds the tests of the alert rules beside it and of the dashboards. It is a module of its own: Prometheus' own parser,
// with which the tests read every query, is no part of what production runs.
package prometheus
