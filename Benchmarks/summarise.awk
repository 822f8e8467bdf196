# Medians of result lines, {"peer":…,"scenario":…,…}, one table a scenario. `format` is text or markdown.
# What is shown: bytes_per_event, median_us, megabytes or percent (less is better) where a line has it, else
# events_per_second.
# The last column says how Tidelog stands to the peer: above 1 it is ahead.
function text(name) {
    if (!match($0, "\"" name "\" *: *\"[^\"]*\"")) return ""
    value = substr($0, RSTART, RLENGTH)
    sub("^\"" name "\" *: *\"", "", value)
    return substr(value, 1, length(value) - 1)
}
function number(name) {
    if (!match($0, "\"" name "\" *: *[-+.0-9eE]+")) return ""
    value = substr($0, RSTART, RLENGTH)
    sub("^\"" name "\" *: *", "", value)
    return value + 0
}
function sort(list, count,    i, j, x) {
    for (i = 2; i <= count; i++) {
        x = list[i]
        for (j = i - 1; j >= 1 && list[j] > x; j--) list[j + 1] = list[j]
        list[j + 1] = x
    }
}
function thousands(x,    s, out) {
    s = sprintf("%.0f", x)
    while (length(s) > 3) {
        out = "," substr(s, length(s) - 2) out
        s = substr(s, 1, length(s) - 3)
    }
    return s out
}
function shown(x, unit) {
    if (unit == "events/s") return thousands(x)
    return sprintf(x < 100 ? "%.2f" : "%.0f", x)
}
/^\{/ {
    peer = text("peer")
    scenario = text("scenario")
    if (peer == "" || scenario == "") next
    unit = "events/s"
    value = number("events_per_second")
    if (number("bytes_per_event") != "") { unit = "bytes/event"; value = number("bytes_per_event") }
    else if (number("median_us") != "") { unit = "µs"; value = number("median_us") }
    else if (number("megabytes") != "") { unit = "MB"; value = number("megabytes") }
    else if (number("percent") != "") { unit = "% of a core"; value = number("percent") }
    key = scenario SUBSEP peer
    if (!(scenario in units)) { scenarios[++scenarioCount] = scenario; units[scenario] = unit }
    if (!(key in counts)) { members[scenario] = members[scenario] " " peer }
    values[key, ++counts[key]] = value
}
END {
    for (s = 1; s <= scenarioCount; s++) {
        scenario = scenarios[s]
        unit = units[scenario]
        n = split(members[scenario], names, " ")
        for (i = 1; i <= n; i++) {
            key = scenario SUBSEP names[i]
            for (k = 1; k <= counts[key]; k++) list[k] = values[key, k]
            sort(list, counts[key])
            k = counts[key]
            middle[i] = k % 2 ? list[(k + 1) / 2] : (list[k / 2] + list[k / 2 + 1]) / 2
            low[i] = list[1]; high[i] = list[k]
            order[i] = i
        }
        for (i = 2; i <= n; i++) {  # Best first.
            x = order[i]
            for (j = i - 1; j >= 1; j--) {
                better = unit == "events/s" ? middle[x] > middle[order[j]] : middle[x] < middle[order[j]]
                if (!better) break
                order[j + 1] = order[j]
            }
            order[j + 1] = x
        }
        own = 0
        for (i = 1; i <= n; i++) if (names[i] == "tidelog") own = middle[i]
        if (format == "markdown") {
            printf "\n**%s**\n\n| peer | %s, median | range | runs | Tidelog beside it |\n", scenario, unit
            print "| --- | ---: | ---: | ---: | ---: |"
        } else {
            printf "\n%-22s %14s  %27s %5s  %s\n", scenario, unit, "range", "runs", "tidelog beside it"
        }
        for (i = 1; i <= n; i++) {
            x = order[i]
            ratio = ""
            if (own && middle[x] && names[x] != "tidelog")
                ratio = sprintf("%.2f", unit == "events/s" ? own / middle[x] : middle[x] / own)
            span = shown(low[x], unit) " to " shown(high[x], unit)
            printf format == "markdown" ? "| %s | %s | %s | %d | %s |\n" : "  %-20s %14s  %27s %5d  %s\n",
                names[x], shown(middle[x], unit), span, counts[scenario SUBSEP names[x]], ratio
        }
    }
}
