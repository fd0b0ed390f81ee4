//! The kubeconfig: as text (client-go's `clientcmd/api/v1`), and as a file.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Result, bail};
use data_encoding::BASE64;
use rcgen::{Certificate, KeyPair};
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::server::Server;

/// How each begins. What begins so may be written over: it was made by this command.
const BEGINNING: &str = "# Made by `shoal kubeconfig`";

/// What it is made of.
pub(super) struct Contents<'a> {
    pub(super) fleet: &'a str,
    pub(super) server: &'a Server,
    pub(super) hours: u32,
    /// The cluster's authority, in DER.
    pub(super) authority: &'a CertificateDer<'a>,
    /// The name to verify the server by, if not by its address.
    pub(super) name: Option<&'a str>,
    pub(super) certificate: &'a Certificate,
    pub(super) key: &'a KeyPair,
}

/// The text. A fleet's name and a server are made of characters that YAML takes as they are, in quotes.
pub(super) fn text(contents: &Contents<'_>) -> Zeroizing<String> {
    let Contents { fleet, server, hours, authority, name, certificate, key } = contents;
    let pem = |der: &[u8]| {
        let lines = BASE64.encode(der);
        let lines: Vec<&str> = lines.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        BASE64.encode(format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n")).as_bytes())
    };
    let (authority, certificate) = (pem(authority), pem(certificate.der()));
    let pem = Zeroizing::new(key.serialize_pem());
    let key = Zeroizing::new(BASE64.encode(pem.as_bytes()));
    let name = name.map(|name| format!("    tls-server-name: \"{name}\"\n")).unwrap_or_default();
    Zeroizing::new(format!(
        "{BEGINNING} for the fleet {fleet}, for {hours} h. Who has this file administers the cluster until then.
apiVersion: v1
kind: Config
clusters:
- name: \"{fleet}\"
  cluster:
    server: \"https://{server}\"
{name}    certificate-authority-data: {authority}
users:
- name: \"{fleet}-owner\"
  user:
    client-certificate-data: {certificate}
    client-key-data: {}
contexts:
- name: \"{fleet}\"
  context:
    cluster: \"{fleet}\"
    user: \"{fleet}-owner\"
current-context: \"{fleet}\"
",
        *key
    ))
}

/// Whether a file may be written here: nothing is there, or what this command made. A kubeconfig of other clusters is not to be lost.
///
/// # Errors
/// What is there, and what to do.
pub(super) fn check(path: &Path) -> Result<()> {
    let mut file = match fs::File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let mut beginning = String::new();
    if file.metadata()?.is_file() {
        // Not text is not ours, either.
        let _ = Read::by_ref(&mut file).take(BEGINNING.len() as u64).read_to_string(&mut beginning);
    }
    if beginning != BEGINNING {
        bail!("it is there already, and this command did not make it; name another file, and let KUBECONFIG list both (FILE:FILE)");
    }
    Ok(())
}

/// Writes the file, readable by its owner alone, whole or not at all.
///
/// # Errors
/// What the system said; or as [`check`], which may have changed.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    check(path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut staged =
        tempfile::Builder::new().prefix(".kubeconfig-").permissions(PermissionsExt::from_mode(0o600)).tempfile_in(directory)?;
    staged.write_all(text.as_bytes())?;
    staged.as_file().sync_all()?;
    staged.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_command_made_is_written_over() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("site1.kubeconfig");
        write(&path, &format!("{BEGINNING} first")).unwrap();
        write(&path, &format!("{BEGINNING} second")).unwrap();
        assert!(fs::read_to_string(&path).unwrap().ends_with("second"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for other in ["", "apiVersion: v1\n"] {
            fs::write(&path, other).unwrap();
            let error = write(&path, BEGINNING).unwrap_err().to_string();
            assert!(error.contains("KUBECONFIG"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), other);
        }
        assert!(check(place.path()).is_err(), "a directory");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing else is left");
    }
}
