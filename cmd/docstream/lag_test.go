package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"docstream/internal/testenv"
	"docstream/ops"
	"docstream/ops/doctor"
)

// broker returns the variables with which commands find a broker and a registry of the test.
func broker(t *testing.T) []string {
	conn := testenv.Kafka(t)
	return []string{"DOCSTREAM_KAFKA_BROKERS=" + strings.Join(conn.Brokers, ","), "DOCSTREAM_KAFKA_REGISTRY=" + conn.Registry, "DOCSTREAM_TOPICS_PREFIX=" + testenv.Plan(t).Prefix,
		"DOCSTREAM_TOPICS_LANES=1", "DOCSTREAM_TOPICS_STATE=1"}
}

func TestTopicsApplyDryRunSaysWhatApplyThenDoes(t *testing.T) {
	env := broker(t)
	code, out, errs := run(t, env, "topics", "apply", "--dry-run")
	if code != exitDone || !strings.Contains(out, "would create ") {
		t.Fatalf("exit %d, %s %s", code, out, errs)
	}
	code, done, errs := run(t, env, "topics", "apply")
	if code != exitDone || strings.ReplaceAll(out, "would create", "created") != done {
		t.Errorf("exit %d, %s %s", code, done, errs)
	}
	for _, args := range [][]string{{"topics", "apply", "--dry-run"}, {"topics", "apply"}} {
		if code, out, _ := run(t, env, args...); code != exitDone || out != "the topics are as the plan has them\n" {
			t.Errorf("%v: exit %d, %q", args, code, out)
		}
	}
	code, out, _ = run(t, env, "topics", "apply", "--dry-run", "--json", "--set", "topics.lanes=2")
	var r ops.Report
	if err := json.Unmarshal([]byte(out), &r); code != exitDone || err != nil || len(r.Grown) == 0 || len(r.Changes) != len(r.Grown) {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	if code, _, errs := run(t, env, "topics", "apply", "--set", "principals.producers=erp", "--set", "principals.track=erp"); code != exitUsage || !strings.Contains(errs, "an outsider") {
		t.Errorf("exit %d, %s", code, errs)
	}
}

func TestLagCommand(t *testing.T) {
	env := broker(t)
	if code, out, errs := run(t, env, "topics", "apply"); code != exitDone {
		t.Fatal(out, errs)
	}
	code, out, errs := run(t, env, "lag", "--over", "0", "--max", "0")
	if code != exitDone || !strings.HasPrefix(out, "STAGE") || !strings.Contains(out, "layout      pages.gpu.high        0        0          0    0        0      -") {
		t.Errorf("exit %d, %s %s", code, out, errs)
	}
	var lags []ops.Lag
	if code, out, _ := run(t, env, "lag", "--over", "0", "--json"); code != exitDone || json.Unmarshal([]byte(out), &lags) != nil || len(lags) < 28 {
		t.Errorf("exit %d, %s", code, out)
	}
	if code, _, errs := run(t, env, "lag", "--over", "-1s"); code != exitUsage {
		t.Errorf("exit %d, %s", code, errs)
	}
}

func TestALaneAboveTheMostIsAnError(t *testing.T) {
	lags := []ops.Lag{{Stage: "ocr", Lane: "a", Records: 3}, {Stage: "track", Lane: "b", Records: 7}}
	if err := above(lags, 7); err != nil {
		t.Error(err)
	}
	err, ok := above(lags, 6).(exit)
	if !ok || err.code != exitFailed || err.text != "more than 6 records: track on b (7)" {
		t.Errorf("%+v", err)
	}
}

func TestDoctorCommand(t *testing.T) {
	env := broker(t)
	if code, _, errs := run(t, env, "doctor", "--only", "nothing"); code != exitUsage && code != exitFailed || !strings.Contains(errs, "--only must be one of kafka") {
		t.Errorf("exit %d, %s", code, errs)
	}
	code, out, _ := run(t, env, "doctor", "--only", "topics", "--json")
	var found []doctor.Finding
	if err := json.Unmarshal([]byte(out), &found); code != exitFailed || err != nil || len(found) != 1 || found[0].Level != doctor.Fail || found[0].Do != "docstream topics apply" {
		t.Errorf("exit %d, %s", code, out)
	}
	if code, out, errs := run(t, env, "topics", "apply"); code != exitDone {
		t.Fatal(out, errs)
	}
	if code, out, _ := run(t, env, "doctor", "--only", "topics,kafka"); code != exitDone || !strings.Contains(out, "OK    topics        ") {
		t.Errorf("exit %d, %s", code, out)
	}
	if code, out, _ := run(t, env, "doctor", "--only", "topics", "--set", "topics.retention=200h"); code != exitWarned || !strings.Contains(out, "means: ") || !strings.Contains(out, "do:    docstream topics apply") {
		t.Errorf("exit %d, %s", code, out)
	}
}

func TestAFindingShowsNoSecret(t *testing.T) {
	var out, errs bytes.Buffer
	p := &program{stdout: &out, stderr: &errs}
	const secret = "dsk_dj68kw0xag0q9a5j_r958ny0g2agbfj6rmm31atb2fegz6cbcmvh1hvr6j09t5ks88kc0"
	check := doctor.Check{Name: "x", Ask: func(context.Context) []doctor.Finding {
		return []doctor.Finding{{Level: doctor.Fail, Found: "refused: Authorization: Bearer " + secret, Means: "m", Do: "d"}}
	}}
	if err, ok := p.diagnose(t.Context(), []doctor.Check{check}, time.Second).(exit); !ok || err.code != exitFailed {
		t.Errorf("%v", err)
	}
	if strings.Contains(out.String(), secret) || !strings.Contains(out.String(), "refused") {
		t.Errorf("%s", out.String())
	}
}
