"""To be watched: metrics, logs, spans. Nothing here decides anything, and a run without any of it is the same run.

metrics ... the one list of figures; dashboard, alerts and reference are made from it
record .... add, set and observe them: in this process, and in Ray's own metrics where there is a Ray
logs ...... records as lines of text or JSON, with the run they belong to and without the secrets we know
spans ..... a run, its stages and its calls as OpenTelemetry spans, where somebody takes them
"""
