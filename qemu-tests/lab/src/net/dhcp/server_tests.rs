use super::*;

const NOW: Duration = Duration::from_secs(1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn server(first: u8, last: u8) -> Server {
    Server::new(SERVER, DhcpConfig::new(address(first)..=address(last), 24))
}

fn message(kind: MessageType, box_number: u8) -> Message {
    Message {
        kind,
        from_client: true,
        transaction: 42,
        broadcast: false,
        client_address: Ipv4Addr::UNSPECIFIED,
        your_address: Ipv4Addr::UNSPECIFIED,
        next_server: Ipv4Addr::UNSPECIFIED,
        hardware_address: [0x52, 0x54, 0, 0, 0, box_number],
        options: BTreeMap::new(),
    }
}

fn asking(kind: MessageType, box_number: u8, wanted: Ipv4Addr) -> Message {
    let mut message = message(kind, box_number);
    message.options.insert(option::REQUESTED_ADDRESS, wanted.octets().to_vec());
    message
}

fn renewing(box_number: u8, own: Ipv4Addr) -> Message {
    Message { client_address: own, ..message(MessageType::Request, box_number) }
}

/// Discover and request, as a client does.
fn obtain(server: &mut Server, now: Duration, box_number: u8) -> Option<Ipv4Addr> {
    let offer = server.handle(now, &message(MessageType::Discover, box_number))?;
    assert_eq!(offer.kind, MessageType::Offer);
    let mut request = asking(MessageType::Request, box_number, offer.your_address);
    request.options.insert(option::SERVER_ID, SERVER.octets().to_vec());
    let ack = server.handle(now, &request)?;
    assert_eq!((ack.kind, ack.your_address, ack.transaction), (MessageType::Ack, offer.your_address, 42));
    Some(ack.your_address)
}

#[test]
fn every_client_gets_its_own_address_and_keeps_it() {
    let mut server = server(10, 11);
    assert_eq!(obtain(&mut server, NOW, 1), Some(address(10)));
    assert_eq!(obtain(&mut server, NOW, 2), Some(address(11)));
    assert_eq!(obtain(&mut server, NOW, 1), Some(address(10)));
    assert_eq!(server.leases(NOW).len(), 2);
}

#[test]
fn a_full_range_is_silent_until_a_lease_ends_or_is_released() {
    let mut server = server(10, 10);
    assert_eq!(obtain(&mut server, NOW, 1), Some(address(10)));
    assert_eq!(server.handle(NOW, &message(MessageType::Discover, 2)), None);
    let later = NOW + server.config.lease;
    assert_eq!(obtain(&mut server, later, 2), Some(address(10)));
    let release = Message { client_address: address(10), ..message(MessageType::Release, 2) };
    assert_eq!(server.handle(later, &release), None);
    assert_eq!(obtain(&mut server, later, 3), Some(address(10)));
}

#[test]
fn a_range_that_moves_is_heard_of_at_renewal() {
    let mut server = server(10, 20);
    assert_eq!(obtain(&mut server, NOW, 1), Some(address(10)));
    assert_eq!(server.handle(NOW, &renewing(1, address(10))).map(|reply| reply.kind), Some(MessageType::Ack));
    server.config.ranges = vec![address(30)..=address(40)];
    assert_eq!(server.handle(NOW, &renewing(1, address(10))).map(|reply| reply.kind), Some(MessageType::Nak));
    assert_eq!(obtain(&mut server, NOW, 1), Some(address(30)));
}

#[test]
fn nobody_gets_the_address_of_another_or_of_the_server() {
    let mut server = server(1, 20);
    assert_eq!(obtain(&mut server, NOW, 1), Some(address(2)), "10.0.0.1 is the server's own");
    let reply = server.handle(NOW, &asking(MessageType::Request, 2, address(2))).unwrap();
    assert_eq!((reply.kind, reply.your_address), (MessageType::Nak, Ipv4Addr::UNSPECIFIED));
}

#[test]
fn a_client_that_boots_again_keeps_its_address_with_a_server_that_forgot() {
    let reply = server(10, 20).handle(NOW, &asking(MessageType::Request, 1, address(15))).unwrap();
    assert_eq!((reply.kind, reply.your_address), (MessageType::Ack, address(15)));
}

#[test]
fn an_offer_that_goes_to_another_server_is_free_again() {
    let mut server = server(10, 10);
    server.handle(NOW, &message(MessageType::Discover, 1)).unwrap();
    let mut elsewhere = asking(MessageType::Request, 1, address(99));
    elsewhere.options.insert(option::SERVER_ID, vec![10, 0, 0, 99]);
    assert_eq!(server.handle(NOW, &elsewhere), None);
    assert_eq!(obtain(&mut server, NOW, 2), Some(address(10)));
}

#[test]
fn a_declined_address_is_set_aside_for_a_while() {
    let mut server = server(10, 11);
    assert_eq!(obtain(&mut server, NOW, 1), Some(address(10)));
    server.handle(NOW, &asking(MessageType::Decline, 1, address(10)));
    assert_eq!(obtain(&mut server, NOW, 1), Some(address(11)));
    assert_eq!(obtain(&mut server, NOW + DECLINE_LIFETIME, 2), Some(address(10)));
}

#[test]
fn clients_are_told_apart_by_their_id_before_their_hardware_address() {
    let mut server = server(10, 11);
    let with_id = |id: u8| {
        let mut discover = message(MessageType::Discover, 1);
        discover.options.insert(option::CLIENT_ID, vec![255, id]);
        discover
    };
    let first = server.handle(NOW, &with_id(1)).unwrap();
    let second = server.handle(NOW, &with_id(2)).unwrap();
    assert_ne!(first.your_address, second.your_address);
    assert_eq!(first.options[&option::CLIENT_ID], [255, 1]);
}

#[test]
fn the_settings_are_the_bytes_of_their_options() {
    let mut server = server(10, 11);
    server.config.routers = vec![SERVER];
    server.config.dns = vec![address(2), address(3)];
    server.config.search = vec!["lab".into()];
    let offer = server.handle(NOW, &message(MessageType::Discover, 1)).unwrap();
    let expected: [(u8, &[u8]); 9] = [
        (option::SUBNET_MASK, &[255, 255, 255, 0]),
        (option::ROUTERS, &[10, 0, 0, 1]),
        (option::DNS_SERVERS, &[10, 0, 0, 2, 10, 0, 0, 3]),
        (option::DOMAIN_NAME, b"lab"),
        (option::LEASE_TIME, &3600u32.to_be_bytes()),
        (option::SERVER_ID, &[10, 0, 0, 1]),
        (option::RENEWAL_TIME, &1800u32.to_be_bytes()),
        (option::REBINDING_TIME, &3150u32.to_be_bytes()),
        (option::DOMAIN_SEARCH, b"\x03lab\0"),
    ];
    assert_eq!(offer.options, expected.into_iter().map(|(number, value)| (number, value.to_vec())).collect());
}

#[test]
fn each_boot_client_gets_the_file_of_its_rule() {
    let rule = |client, architecture, file: &str| BootRule { client, architecture, file: file.into() };
    let mut server = server(10, 20);
    server.config.boot = vec![
        rule(BootClient::Http, Some(16), "http://10.0.0.1/amd64.efi"),
        rule(BootClient::Http, Some(19), "http://10.0.0.1/arm64.efi"),
        rule(BootClient::Ipxe, None, "http://10.0.0.1/boot.ipxe"),
        rule(BootClient::Pxe, Some(0), "undionly.kpxe"),
    ];
    let cases = [
        ("HTTPClient:Arch:00016:UNDI:003001", "", 16, Some("http://10.0.0.1/amd64.efi"), Some("HTTPClient")),
        ("HTTPClient:Arch:00019:UNDI:003001", "", 19, Some("http://10.0.0.1/arm64.efi"), Some("HTTPClient")),
        ("PXEClient:Arch:00000:UNDI:002001", "iPXE", 0, Some("http://10.0.0.1/boot.ipxe"), None),
        ("PXEClient:Arch:00000:UNDI:002001", "", 0, Some("undionly.kpxe"), None),
        ("PXEClient:Arch:00007:UNDI:003001", "", 7, None, None),
        ("shoal", "", 16, None, None),
    ];
    for (vendor, user, architecture, file, class) in cases {
        let mut discover = message(MessageType::Discover, 1);
        discover.options.insert(option::VENDOR_CLASS, vendor.into());
        discover.options.insert(option::USER_CLASS, user.into());
        discover.options.insert(option::ARCHITECTURE, u16::to_be_bytes(architecture).into());
        let offer = server.handle(NOW, &discover).unwrap();
        assert_eq!(offer.text(option::BOOT_FILE).as_deref(), file, "{vendor} {user}");
        assert_eq!(offer.text(option::VENDOR_CLASS).as_deref(), class, "{vendor} {user}");
        assert_eq!(offer.next_server, if file.is_some() { SERVER } else { Ipv4Addr::UNSPECIFIED });
    }
}
