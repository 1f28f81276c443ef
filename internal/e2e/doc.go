// Package e2e holds the tests that walk a document through the whole stream: they boot the very program, talk to it as a client does, end
// its processes by id, and look into every store afterwards. There is no code here but tests.
//
// The suite runs on the embedded broker, or on the Kafka that DOCSTREAM_TEST_KAFKA names, or on the cluster of several replicas whose
// folder DOCSTREAM_TEST_CLUSTER names (make cluster); the tests are the same.
package e2e
