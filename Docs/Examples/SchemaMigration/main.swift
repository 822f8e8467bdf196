// Schemas change, stored bytes do not. Run with: swift run example-schema-migration
import SystemPackage
import Tidelog
import TidelogTesting

struct NameV1: Codable { var name: String }
struct NameV2: Codable { var first: String, last: String }

try await withTemporaryLog { _, open in
    let log = try await open(.init())
    let schemas = log.schemas
    try await schemas.register(
        JSONSchema(#"{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}"#),
        for: "user.named", version: 1)
    try await log.append(Event(type: "user.named", stream: "user-1", encoding: NameV1(name: "Ada King")))

    // Version 2 has other members: not what version 1 accepts, so it must be said that this is meant.
    let second = try JSONSchema(
        """
        {"type": "object", "required": ["first", "last"],
         "properties": {"first": {"type": "string"}, "last": {"type": "string"}}}
        """)
    do {
        try await schemas.register(second, for: "user.named", version: 2)
    } catch EventLogError.Code.incompatibleSchema {
        print("version 2 alone would not read version 1")
    }
    try await schemas.setCompatibility(.none, for: "user.named")
    try await schemas.register(second, for: "user.named", version: 2)

    let new = try Event(type: "user.named", stream: "user-2", encoding: NameV2(first: "Ben", last: "Roe"))
    try await log.append(new.withSchemaVersion(2))

    // Readers see version 2 only.
    var upcasters = Upcasters()
    upcasters.add("user.named", from: 1, as: NameV1.self, to: NameV2.self) { old in
        let words = old.name.split(separator: " ", maxSplits: 1).map(String.init)
        return NameV2(first: words[0], last: words.count > 1 ? words[1] : "")
    }
    try await log.catchUp(
        Projection("names", of: .types("user.named"), upcasters: upcasters) { stored, state in
            let name = try stored.payload.decode(as: NameV2.self)
            try state.set("\(name.last), \(name.first)", .integer(1))
        })
    for entry in try await log.projection("names").entries() { print(entry.key) }
    let bytes = try await log.events(.stream("user-1")).first?.payload.text ?? ""
    print("still stored: \(bytes)")
    await log.close()
}
