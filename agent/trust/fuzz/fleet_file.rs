//! What the fuzz target and the short run of the tests do with bytes: read them as an operator's fleet file.

use shoal_trust::fleet_file::FleetFile;

/// Reads `input`. Says whether it was a fleet file.
pub(crate) fn read_fleet_file(input: &[u8]) -> bool {
    let Ok(file) = std::str::from_utf8(input).map_err(drop).and_then(|text| FleetFile::parse(text).map_err(drop)) else { return false };
    let printed = file.print();
    let again = FleetFile::parse(&printed).expect("what is printed can be read");
    assert!(again == file && *again.print() == *printed, "what is printed is what was read");
    true
}
