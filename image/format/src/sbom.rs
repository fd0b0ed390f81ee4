//! The list of everything inside an image as CycloneDX 1.6 JSON (ECMA-424), the same bytes for the same list.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::{Uuid, uuid};

use crate::epoch::Epoch;

/// Namespace of the serial numbers: a UUID that stands for "a Shoal bill of materials".
const SERIAL_NAMESPACE: Uuid = uuid!("5f0f7a52-3c6e-5d0b-9a41-8f6f4f1d2c7e");

/// What a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentType {
    /// A program, or a package of programs.
    Application,
    /// A container image.
    Container,
    /// A file that is none of the others.
    File,
    /// Code for a device.
    Firmware,
    /// A library, or a package of libraries.
    Library,
    /// A whole system; the image itself.
    OperatingSystem,
}

/// Under which terms a component may be used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum License {
    /// An SPDX expression: `Apache-2.0 OR MIT`.
    Expression(String),
    /// A name that is not SPDX's.
    Name(String),
}

/// One thing inside an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Component {
    /// What it is.
    pub component_type: ComponentType,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its package URL ([`crate::purl`]).
    pub purl: Option<String>,
    /// SHA-256 of what was fetched, in hexadecimal.
    pub sha256: Option<String>,
    /// Under which terms it may be used, where that is known.
    pub license: Option<License>,
    /// Who supplied it: `Debian`.
    pub supplier: Option<String>,
}

/// A bill of materials. Order and repetition of the components do not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// The image it is of.
    pub subject: Component,
    /// What is inside.
    pub components: Vec<Component>,
    /// Version of Shoal that made it.
    pub tool_version: String,
    /// Time of the image.
    pub epoch: Epoch,
}

impl Bill {
    /// The JSON text, ending with a line feed.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut components: Vec<&Component> = self.components.iter().collect();
        components.sort();
        components.dedup();
        let mut references = References::default();
        let subject = document_component(&self.subject, &mut references);
        let mut document = Document {
            schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
            format: "CycloneDX",
            specification: "1.6",
            serial_number: None,
            version: 1,
            metadata: Metadata {
                timestamp: self.epoch.to_string(),
                tools: Tools { components: [Tool { kind: "application", name: "shoal", version: &self.tool_version }] },
                component: subject,
            },
            components: components.into_iter().map(|component| document_component(component, &mut references)).collect(),
        };
        // The number names this content, so it is derived from the content without the number.
        let content = serialise(&document);
        document.serial_number = Some(Uuid::new_v5(&SERIAL_NAMESPACE, content.as_bytes()).urn().to_string());
        serialise(&document) + "\n"
    }
}

fn serialise(document: &Document<'_>) -> String {
    serde_json::to_string_pretty(document).expect("structures of strings and numbers are always JSON")
}

/// Names of components inside the document, which must differ.
#[derive(Default)]
struct References(BTreeMap<String, u32>);

impl References {
    fn next(&mut self, component: &Component) -> String {
        let base = component.purl.clone().unwrap_or_else(|| format!("{}@{}", component.name, component.version));
        let count = self.0.entry(base.clone()).and_modify(|count| *count += 1).or_insert(1);
        if *count == 1 { base } else { format!("{base}#{count}") }
    }
}

fn document_component<'bill>(component: &'bill Component, references: &mut References) -> DocumentComponent<'bill> {
    DocumentComponent {
        kind: component.component_type,
        reference: references.next(component),
        supplier: component.supplier.as_deref().map(|name| Supplier { name }),
        name: &component.name,
        version: &component.version,
        hashes: component.sha256.as_deref().map(|content| [Hash { algorithm: "SHA-256", content }]),
        licenses: component.license.as_ref().map(|license| match license {
            License::Expression(expression) => [LicenseChoice::Expression { expression }],
            License::Name(name) => [LicenseChoice::License { license: LicenseName { name } }],
        }),
        purl: component.purl.as_deref(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'bill> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    #[serde(rename = "bomFormat")]
    format: &'static str,
    #[serde(rename = "specVersion")]
    specification: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    version: u32,
    metadata: Metadata<'bill>,
    components: Vec<DocumentComponent<'bill>>,
}

#[derive(Serialize)]
struct Metadata<'bill> {
    timestamp: String,
    tools: Tools<'bill>,
    component: DocumentComponent<'bill>,
}

#[derive(Serialize)]
struct Tools<'bill> {
    components: [Tool<'bill>; 1],
}

#[derive(Serialize)]
struct Tool<'bill> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    version: &'bill str,
}

#[derive(Serialize)]
struct DocumentComponent<'bill> {
    #[serde(rename = "type")]
    kind: ComponentType,
    #[serde(rename = "bom-ref")]
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<Supplier<'bill>>,
    name: &'bill str,
    version: &'bill str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hashes: Option<[Hash<'bill>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    licenses: Option<[LicenseChoice<'bill>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<&'bill str>,
}

#[derive(Serialize)]
struct Supplier<'bill> {
    name: &'bill str,
}

#[derive(Serialize)]
struct Hash<'bill> {
    #[serde(rename = "alg")]
    algorithm: &'static str,
    content: &'bill str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum LicenseChoice<'bill> {
    Expression { expression: &'bill str },
    License { license: LicenseName<'bill> },
}

#[derive(Serialize)]
struct LicenseName<'bill> {
    name: &'bill str,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn component(name: &str) -> Component {
        Component {
            component_type: ComponentType::Application,
            name: name.into(),
            version: "1.0".into(),
            purl: Some(format!("pkg:cargo/{name}@1.0")),
            sha256: Some("ab".repeat(32)),
            license: Some(License::Expression("MIT".into())),
            supplier: Some("Debian".into()),
        }
    }

    fn bill(components: Vec<Component>) -> Bill {
        let subject = Component { component_type: ComponentType::OperatingSystem, purl: None, ..component("image") };
        Bill { subject, components, tool_version: "0.1.0".into(), epoch: Epoch::from_seconds(1_763_866_861) }
    }

    fn parse(bill: &Bill) -> Value {
        serde_json::from_str(&bill.to_json()).unwrap()
    }

    #[test]
    fn a_component_is_written_with_the_names_of_the_specification() {
        let document = parse(&bill(vec![component("crun")]));
        assert_eq!((&document["bomFormat"], &document["specVersion"]), (&json!("CycloneDX"), &json!("1.6")));
        assert_eq!(document["metadata"]["timestamp"], "2025-11-23T03:01:01Z");
        assert_eq!(document["metadata"]["component"]["type"], "operating-system");
        let expected = json!({
            "type": "application",
            "bom-ref": "pkg:cargo/crun@1.0",
            "supplier": {"name": "Debian"},
            "name": "crun",
            "version": "1.0",
            "hashes": [{"alg": "SHA-256", "content": "ab".repeat(32)}],
            "licenses": [{"expression": "MIT"}],
            "purl": "pkg:cargo/crun@1.0",
        });
        assert_eq!(document["components"], json!([expected]));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let unknown = Component { purl: None, sha256: None, license: None, supplier: None, ..component("x") };
        let document = parse(&bill(vec![unknown]));
        assert_eq!(document["components"][0], json!({"type": "application", "bom-ref": "x@1.0", "name": "x", "version": "1.0"}));
        let named = Component { license: Some(License::Name("GPL-2+ with exceptions".into())), ..component("y") };
        assert_eq!(parse(&bill(vec![named]))["components"][0]["licenses"], json!([{"license": {"name": "GPL-2+ with exceptions"}}]));
    }

    #[test]
    fn order_and_repetition_do_not_matter_but_content_does() {
        let one = bill(vec![component("a"), component("b")]).to_json();
        assert_eq!(one, bill(vec![component("b"), component("a"), component("b")]).to_json());
        let other = bill(vec![component("a"), component("c")]);
        let serial = |text: &str| serde_json::from_str::<Value>(text).unwrap()["serialNumber"].as_str().unwrap().to_owned();
        assert_ne!(serial(&one), serial(&other.to_json()));
        assert!(serial(&one).starts_with("urn:uuid:"));
    }

    #[test]
    fn references_differ_even_where_package_urls_do_not() {
        let other = Component { sha256: Some("cd".repeat(32)), ..component("a") };
        let document = parse(&bill(vec![component("a"), other]));
        let reference = |number: usize| document["components"][number]["bom-ref"].clone();
        assert_eq!((reference(0), reference(1)), (json!("pkg:cargo/a@1.0"), json!("pkg:cargo/a@1.0#2")));
    }
}
